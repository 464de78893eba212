import t from 'tap'
import { passwordFits } from '../../../src/social/passwords/passwords.ts'
import { createSlots } from '../../../src/social/passwords/slots.ts'

t.test('so many at once, so many waiting in order, and the rest refused', async (t) => {
  const inSlot = createSlots(2, 2)
  const begun: number[] = []
  const ends: (() => void)[] = []
  const work = (number: number) =>
    inSlot(async () => {
      begun.push(number)
      await new Promise<void>((resolve) => ends.push(resolve))
      if (number === 2) throw new Error('this one fails')
      return number
    })
  const given = [1, 2, 3, 4].map(work)
  const settled = Promise.allSettled(given)
  await t.rejects(work(5), { code: 'BUSY', retryAfter: 1 })
  t.same(begun, [1, 2])
  ends[0]?.()
  t.equal(await given[0], 1)
  ends[1]?.()
  while (ends.length < 4) await new Promise((resolve) => setImmediate(resolve))
  t.same(begun, [1, 2, 3, 4], 'a slot is free again after a failure')
  ends[2]?.()
  ends[3]?.()
  t.match(
    (await settled).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  t.equal(await inSlot(async () => 6), 6)
})

t.test('a share that is used up refuses its own, and leaves the others room', async (t) => {
  const inSlot = createSlots(1, 4)
  const ends: (() => void)[] = []
  const work = (of: string) => inSlot(() => new Promise<void>((resolve) => ends.push(resolve)), { of, most: 2 })
  const begun = [work('flood'), work('flood'), work('flood')]
  await t.rejects(work('flood'), { code: 'BUSY' })
  begun.push(work('else'), work('third'))
  await t.rejects(work('fourth'), { code: 'BUSY' }, 'nobody waits beyond the length of the queue')
  for (let n = 0; n < 5; n++) {
    while (!ends[n]) await new Promise((resolve) => setImmediate(resolve))
    ends[n]?.()
  }
  await Promise.all(begun)
  t.equal(ends.length, 5)
})

t.test('a password without an account never fits', async (t) => {
  t.equal(await passwordFits(undefined, 'nobody has this password'), false)
})
