import t from 'tap'
import { passwordFits } from '../../src/accounts/passwords.ts'
import { createSlots } from '../../src/accounts/slots.ts'

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

t.test('a password without an account never fits', async (t) => {
  t.equal(await passwordFits(undefined, 'nobody has this password'), false)
})
