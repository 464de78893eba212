import t from 'tap'
import type { Outcome } from '../../../src/notify/channels/deliveries.ts'
import { createGuard, type Guard, ProviderTrouble, type Turn } from '../../../src/notify/channels/guard.ts'
import { eventually } from '../../setup.ts'

const sent: Outcome = { state: 'sent' }
const refused = { error: 'the provider fails at the moment' }

const turn = (timeoutMs = 60_000): Turn => ({ leaseEndsAt: performance.now() + 120_000, timeoutMs })
const tooLate = (): Turn => ({ leaseEndsAt: performance.now(), timeoutMs: 60_000 })
const answers = async () => sent
const late = async () => {
  const answerAt = performance.now() + 20
  await eventually(async () => performance.now() > answerAt)
  return sent
}
const fails = async () => {
  throw new ProviderTrouble('out of order')
}

/** Waits until a single parcel may be tried. */
async function firstTried(guard: Guard, how: Turn, send: () => Promise<Outcome>): Promise<Outcome> {
  return eventually(async () => {
    const outcome = await guard(how, send)
    return 'error' in outcome && outcome.error === refused.error ? false : outcome
  })
}

const openCircuit = async () => {
  const guard = createGuard({ perSecond: 1000, atOnce: 5, breakAfter: 2, halfOpenAfterMs: 1000 })
  await guard(turn(), fails)
  await guard(turn(), fails)
  return guard
}

t.test('a late answer does not close the circuit, but the message counts as sent', async (t) => {
  const guard = await openCircuit()
  t.same(await firstTried(guard, turn(10), late), sent)
  t.match(await guard(turn(), answers), refused)
  t.same(await firstTried(guard, turn(), answers), sent)
  t.same(await guard(turn(), answers), sent, 'an answer in time closes it')
})

t.test('a message that was never attempted does not close a circuit', async (t) => {
  const guard = await openCircuit()
  t.match(await firstTried(guard, tooLate(), answers), {
    state: 'retry',
    counts: false,
    error: 'its turn came too late',
  })
  t.match(await guard(turn(), answers), refused)
  t.same(await firstTried(guard, turn(), answers), sent)
})

t.test('a message that was never attempted neither opens a circuit nor counts for the provider', async (t) => {
  const guard = createGuard({ perSecond: 1000, atOnce: 5, breakAfter: 2, halfOpenAfterMs: 60_000 })
  for (let i = 0; i < 5; i += 1) t.match(await guard(tooLate(), answers), { error: 'its turn came too late' })
  t.same(await guard(turn(), answers), sent)
  await guard(turn(), fails)
  await guard(tooLate(), answers)
  await guard(turn(), fails)
  t.match(await guard(turn(), answers), refused)
})

t.test('consecutive late answers open the circuit', async (t) => {
  const guard = createGuard({ perSecond: 1000, atOnce: 5, breakAfter: 2, halfOpenAfterMs: 60_000 })
  t.same(await guard(turn(10), late), sent)
  t.same(await guard(turn(10), late), sent)
  t.match(await guard(turn(), answers), refused)
})

t.test('the rate per second and the number of concurrent messages are limited', async (t) => {
  const guard = createGuard({ perSecond: 4, atOnce: 2, breakAfter: 2, halfOpenAfterMs: 1000 })
  const begun: number[] = []
  let [open, most] = [0, 0]
  const send = async () => {
    begun.push(performance.now())
    open += 1
    most = Math.max(most, open)
    await late()
    open -= 1
    return sent
  }
  const outcomes = await Promise.all(Array.from({ length: 9 }, () => guard(turn(), send)))
  t.same(outcomes, Array(9).fill(sent))
  t.equal(most, 2)
  const took = (begun[8] ?? 0) - (begun[0] ?? 0)
  t.ok(took > 1000, `the ninth went out ${Math.round(took)} ms after the first`)
})

for (const hours of [-1, 1])
  t.test(`a clock that steps by ${hours} hours does not change how long a circuit stays open`, async (t) => {
    const guard = await openCircuit()
    const { now } = Date
    t.teardown(() => {
      Date.now = now
    })
    Date.now = () => now() + hours * 3_600_000
    t.match(await guard(turn(), answers), refused)
    t.same(await firstTried(guard, turn(), answers), sent)
  })
