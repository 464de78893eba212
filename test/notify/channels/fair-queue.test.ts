import t from 'tap'
import { FairQueue, type Place } from '../../../src/notify/channels/fair-queue.ts'

const limits = { slots: 50, slowSlots: 5, perSecond: 200 }
const place = (origin: string, userId: string, critical = false): Place => ({ origin, userId, critical })

function started(queue: FairQueue<Place>): Place[] {
  const items: Place[] = []
  for (let item = queue.next(); item; item = queue.next()) items.push(item)
  return items
}

function fill(queue: FairQueue<Place>, places: Place[]): Place[] {
  const entered = places.filter((place) => queue.enter(place, 0) === 0)
  for (const place of entered) queue.push(place)
  return entered
}

t.test('a user is sent 120 messages a minute; others take turns, and critical messages do not wait', async (t) => {
  const queue = new FairQueue<Place>(limits)
  const waits = Array.from({ length: 200 }, (_, i) => queue.enter(place(`o${i}`, 'mallory'), 0))
  t.same(waits.slice(0, 119), Array(119).fill(0))
  const putOff = waits.filter((wait) => wait > 0)
  t.ok(putOff.length >= 78, `${putOff.length} are put off`)
  t.same(
    putOff,
    [...putOff].sort((a, b) => a - b),
    'in their order',
  )
  t.ok((putOff.at(-1) ?? 0) > 35, 'as long as it takes to send those before')
  t.equal(queue.enter(place('o', 'mallory', true), 0), 0)
  t.equal(queue.enter(place('o', 'ana'), 0), 0, 'nobody else waits')
})

t.test('an unproven origin gets five concurrent messages, a fast one fifty', async (t) => {
  const queue = new FairQueue<Place>(limits)
  const many = Array.from({ length: 100 }, (_, i) => place('o', `u${i % 20}`))
  t.equal(fill(queue, many).length, 20, 'twice as many wait, and users who have none there yet')
  const first = started(queue)
  t.equal(first.length, 5)
  for (const item of first) queue.done(item, true)
  fill(queue, many)
  t.equal(started(queue).length, 50)
})

t.test('a user without messages at an origin gets a slot next to a user with many', async (t) => {
  const queue = new FairQueue<Place>(limits)
  t.equal(
    fill(
      queue,
      Array.from({ length: 100 }, () => place('o', 'mallory')),
    ).length,
    10,
  )
  const running = started(queue)
  t.equal(fill(queue, [place('o', 'ana')]).length, 1)
  for (const item of running.slice(0, 2)) queue.done(item, false)
  t.ok(started(queue).some(({ userId }) => userId === 'ana'))
})

t.test('slow origins together use at most half of all slots', async (t) => {
  const queue = new FairQueue<Place>(limits)
  const [opening] = fill(queue, [place('quick', 'ana')])
  started(queue)
  if (opening) queue.done(opening, true)
  fill(queue, Array.from({ length: 100 }, (_, i) => Array.from({ length: 5 }, () => place(`slow${i}`, `u${i}`))).flat())
  t.equal(started(queue).length, 100)
  fill(
    queue,
    Array.from({ length: 20 }, (_, i) => place('quick', `v${i}`)),
  )
  t.equal(started(queue).length, 20)
})

t.test('messages of an open circuit return gradually within minutes after it closes', async (t) => {
  const queue = new FairQueue<Place>(limits)
  const waits = Array.from({ length: 5000 }, (_, i) => queue.enter(place('o', `u${i}`), 15))
  t.ok(waits.every((wait) => wait >= 15 && wait <= 315))
  t.ok(new Set(waits.map((wait) => Math.round(wait))).size > 100)
  t.ok(queue.isEmpty)
})
