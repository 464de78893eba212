import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Test } from 'tap'
import type { TestClient } from '../client.ts'
import { flushed, inOrderOfTime, noDrift } from '../settled.ts'
import { eventually, type TestSystem } from '../setup.ts'
import { Device } from './device.ts'
import { equalsTheFacts } from './facts.ts'

/** Four people with two devices each, who like, follow and comment until the test stops them. */
export type Load = {
  users: TestClient[]
  devices: Device[]
  /** Answers by status, successful ones too. */
  statuses: Map<number, number>
  /** Waits until every user has had this many more successful answers. */
  goesOn(times: number, seconds: number): Promise<void>
  /** Lets all users finish their current action. Failed actions are retried until they succeed. */
  stop(): Promise<void>
}

const RETRY_MS = 50

export async function startLoad(t: Test, system: TestSystem): Promise<Load> {
  const users = await Promise.all(['ana', 'ben', 'cem', 'dia'].map(system.as))
  const posts = (await Promise.all(users.map((user) => user.post('hello')))).map(({ id }) => id)
  const devices = [...users, ...users].map((user) => new Device(t, system.url, user))
  await Promise.all(devices.map((device) => device.connect()))
  const statuses = new Map<number, number>()
  const wanted = new Set<string>()
  const said: string[] = []
  let running = true
  let succeeded = 0

  /** Retries until success. A retried action must exist once, whether earlier attempts failed or not. */
  const insist = async (user: TestClient, method: string, path: string, body?: unknown) => {
    for (;;) {
      const answer = await user.request(method, path, body)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status < 500) return answer.body
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  const live = async (user: TestClient, place: number) => {
    for (let turn = place; running; turn += 1) {
      const [post = '', person = user] = [posts[turn % posts.length], users[(place + (turn % 3) + 1) % users.length]]
      const on = Math.floor(turn / posts.length) % 3 !== 2
      const [like, follow] = [`likes ${user.id} ${post}`, `follows ${user.id} ${person.id}`]
      await insist(user, on ? 'POST' : 'DELETE', `/posts/${post}/like`)
      on ? wanted.add(like) : wanted.delete(like)
      await insist(user, 'POST', `/users/${person.id}/${on ? 'follow' : 'unfollow'}`)
      on ? wanted.add(follow) : wanted.delete(follow)
      if (turn % 7 === 0) said.push((await insist(user, 'POST', `/posts/${post}/comment`, { body: `${turn}` })).id)
      if (turn % 5 === 0) await insist(user, 'PATCH', '/notifications/mark-all-read')
      succeeded += 1
    }
  }
  t.teardown(() => {
    running = false
  })
  const lives = Promise.all(users.map(live))
  lives.catch(() => {})

  return {
    users,
    devices,
    statuses,
    async goesOn(times, seconds) {
      const enough = succeeded + times
      await eventually(() => succeeded >= enough, seconds)
    },
    async stop() {
      running = false
      await lives
      await standsAsAnswered(system.pool, wanted, said)
    },
  }
}

/** Checks that the tables contain exactly the confirmed actions. */
async function standsAsAnswered(pool: pg.Pool, wanted: Set<string>, said: string[]): Promise<void> {
  const { rows } = await pool.query<{ what: string }>(
    `select 'likes ' || user_id || ' ' || post_id as what from social.likes
     union all select 'follows ' || follower_id || ' ' || followee_id from social.follows`,
  )
  assert.deepEqual(rows.map((row) => row.what).sort(), [...wanted].sort(), 'what was answered stands')
  const { rows: lost } = await pool.query(
    'select id from unnest($1::bigint[]) id where not exists (select from social.comments c where c.id = id)',
    [said],
  )
  assert.deepEqual(lost, [], 'every comment that was answered is there')
}

/** Checks after the fault: nothing is lost or doubled, every device equals the list, and no job remains. */
export async function endsWell(t: Test, system: TestSystem, load: Load): Promise<void> {
  await load.stop()
  await flushed(system)
  const refused = [...load.statuses.keys()].filter((status) => ![200, 201, 503].includes(status))
  t.same(refused, [], `what fails is answered with 503: ${JSON.stringify([...load.statuses])}`)
  for (const device of load.devices) {
    if (!device.connected) await device.connect()
    await device.agreesWithList(20)
    t.same(device.faults, [], `${device.user.username}: every frame followed the one before`)
  }
  for (const user of load.users) await equalsTheFacts(system.pool, user)
  const { rows } = await system.pool.query(
    `select recipient_id, source_id, id from notify.outbox o
     where recipient_id is not null and not exists (
       select from notify.sources s where s.user_id = o.recipient_id and s.source_id = o.source_id and s.event_id >= o.id)`,
  )
  t.same(rows, [], 'every event has been decided')
  t.same((await system.pool.query('select * from ops.dead_letters')).rows, [])
  await noDrift(t, system)
  await inOrderOfTime(t, system)
}
