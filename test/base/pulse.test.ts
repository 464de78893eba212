import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import { test } from 'tap'
import { Pulse, repeat } from '../../src/base/pulse.ts'
import { eventually } from '../setup.ts'

test('requests of one turn of the event loop share a run', async (t) => {
  let runs = 0
  const pulse = new Pulse(async () => {
    runs += 1
  })
  pulse.request()
  pulse.request()
  t.equal(runs, 0, 'the run starts after the turn')
  t.ok(pulse.isRequested)
  await nextTurn()
  t.equal(runs, 1)
  t.notOk(pulse.isRequested)
})

test('an eager pulse starts within the request', async (t) => {
  let runs = 0
  const work = async () => {
    runs += 1
  }
  new Pulse(work, { eager: true }).request()
  t.equal(runs, 1)
})

test('requests during a run share one run after it, and no two runs overlap', async (t) => {
  for (const eager of [false, true]) {
    const runs: PromiseWithResolvers<void>[] = []
    const pulse = new Pulse(
      () => {
        const run = Promise.withResolvers<void>()
        runs.push(run)
        return run.promise
      },
      { eager },
    )
    pulse.request()
    await eventually(() => runs.length === 1)
    for (let n = 0; n < 5; n += 1) pulse.request()
    await nextTurn()
    t.equal(runs.length, 1)
    runs[0]?.resolve()
    await eventually(() => runs.length === 2)
    runs[1]?.resolve()
    await nextTurn()
    await nextTurn()
    t.equal(runs.length, 2)
    await pulse.close()
  }
})

test('the earliest request counts, and a pause delays it', async (t) => {
  let runs = 0
  const pulse = new Pulse(async () => {
    runs += 1
  })
  pulse.requestIn(60_000)
  pulse.request()
  pulse.requestIn(60_000)
  await eventually(() => runs === 1)
  pulse.pause(60_000)
  pulse.request()
  await nextTurn()
  await nextTurn()
  t.equal(runs, 1)
  t.ok(pulse.isRequested)
  await pulse.close()
})

test('a request during the pause starts a run after it', async (t) => {
  const startedAt: number[] = []
  const pulse = new Pulse(
    async () => {
      startedAt.push(performance.now())
    },
    { betweenMs: 20 },
  )
  pulse.request()
  await eventually(() => startedAt.length === 1)
  pulse.request()
  await eventually(() => startedAt.length === 2)
  const [first = 0, second = 0] = startedAt
  t.ok(second - first >= 15, 'not before the pause is over')
  await pulse.close()
})

test('close waits for the current run, and no other follows', async (t) => {
  const run = Promise.withResolvers<void>()
  let runs = 0
  const pulse = new Pulse(() => {
    runs += 1
    return run.promise
  })
  pulse.request()
  await eventually(() => runs === 1)
  pulse.request()
  let isClosed = false
  const closed = pulse.close().then(() => {
    isClosed = true
  })
  await nextTurn()
  t.notOk(isClosed)
  run.resolve()
  await closed
  pulse.request()
  await nextTurn()
  await nextTurn()
  t.equal(runs, 1)
})

test('a repeated task that fails is logged and runs again', async (t) => {
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  let runs = 0
  const pulse = repeat(1, log, 'the check', async () => {
    runs += 1
    if (runs === 1) throw new Error('gone')
  })
  await eventually(() => runs >= 3)
  await pulse.close()
  t.match(lines, [{ msg: 'the check failed; retrying', err: { message: 'gone' } }])
  t.equal(lines.length, 1)
})
