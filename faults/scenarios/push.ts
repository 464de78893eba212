import type pg from 'pg'
import type { FoldingClient } from '../load/folding-client.ts'
import { call } from '../load/http.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { type PushService, startPushServices } from '../system/push-services.ts'
import { SECOND, sleep, within } from '../wait.ts'

/** Dying push nodes, and clients that all reconnect at once. */
export const push: Scenario[] = [
  {
    name: 'push-kill',
    what: 'kill -9 of a push node with half of 1,000 clients, which should be back within 5 s',
    quick: true,
    clients: 1000,
    async disturb(stage) {
      await stage.system.of('push')[0]?.kill()
      await backWithin(stage, 5 * SECOND)
    },
  },
  {
    name: 'push-kill-repeatedly',
    what: 'repeated kill -9 of a random push node',
    async disturb({ system, random, quick }) {
      for (let kills = 0; kills < (quick ? 3 : 10); kills += 1) {
        await random.pick(system.of('push')).kill()
        await sleep((1 + random.next()) * SECOND)
      }
    },
  },
  {
    name: 'push-pause',
    what: 'SIGSTOP of a push node for 20 seconds, with open sockets',
    async disturb({ system, random, quick }) {
      const node = random.pick(system.of('push'))
      node.pause()
      await sleep((quick ? 5 : 20) * SECOND)
      node.resume()
    },
  },
  {
    name: 'push-reconnect-storm',
    what: '5,000 clients are disconnected at once and reconnect',
    clients: 5000,
    async disturb(stage) {
      for (const client of stage.clients) client.cut()
      await backWithin(stage, 60 * SECOND)
    },
  },
  {
    name: 'slow-providers',
    what: '2,000 Web Pushes wait for a push service that takes 9 s for each; pushes to another service are sent meanwhile',
    checkedBy: 'test/notify/channels/slow-providers.test.ts',
    pushServices: startPushServices,
    disturb: pushPastSlowOnes,
  },
]

const SLOW_USERS = 10
const BROWSERS = 20
const COMMENTS = 10
const FOLLOWERS = 5

/** Mentions users whose browsers use the slow service. Then others follow a user whose browser uses the quick one. */
async function pushPastSlowOnes({ system, world, load, note, expect, quick }: Stage): Promise<void> {
  const { pool, pushServices } = system
  const [ana, mallory, ...others] = world.members
  if (!pushServices || !ana || !mallory) throw new Error('the scenario needs push services and members')
  const slowOnes = others.slice(0, SLOW_USERS)
  const browsers = slowOnes.flatMap(({ id }) => Array.from({ length: BROWSERS }, () => ({ id, at: pushServices.slow })))
  for (const { id, at } of [...browsers, { id: ana.id, at: pushServices.quick }]) await subscribe(pool, id, at)
  const [port = 0] = system.of('api').map((one) => one.port)
  for (let i = 0; i < SLOW_USERS * COMMENTS; i += 1) {
    const body = { body: `What does @${slowOnes[i % SLOW_USERS]?.name} say? (${i})` }
    const { status } = await call(port, 'POST', `/posts/${world.posts[0]}/comment`, mallory.token, { body })
    expect(status === 201, `a comment with a mention was answered with ${status}`)
  }
  const slow = async () => {
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::int as n from notify.deliveries where due_at is not null and user_id = any($1::bigint[])`,
      [slowOnes.map(({ id }) => id)],
    )
    return rows[0]?.n ?? 0
  }
  const all = SLOW_USERS * BROWSERS * COMMENTS
  expect(await within(30 * SECOND, async () => (await slow()) >= all), `${all} pushes were queued`)
  const waits: number[] = []
  const strangers = others.filter(({ id }) => !load.follows.has(`${ana.id}:${id}`)).slice(-FOLLOWERS)
  for (const follower of strangers) {
    load.follows.set(`${ana.id}:${follower.id}`, 'busy')
    const [before, followedAt] = [pushServices.quick.asked, performance.now()]
    const { outcome } = await call(port, 'POST', `/users/${ana.id}/follow`, follower.token)
    load.follows.set(`${ana.id}:${follower.id}`, outcome === 'ok' ? 'kept' : 'uncertain')
    expect(await within(20 * SECOND, () => pushServices.quick.asked > before, 5), 'the push of another user was sent')
    waits.push(Math.round(performance.now() - followedAt))
    await sleep(SECOND)
  }
  await sleep((quick ? 5 : 30) * SECOND)
  const left = await slow()
  expect(left > 0, 'the slow service had finished before the others were tried')
  note(
    `pushes of others went out ${waits.join(', ')} ms after the follow; ${left} wait for the slow service, which was asked ${pushServices.slow.asked} times`,
  )
}

async function subscribe(pool: pg.Pool, userId: string, service: PushService): Promise<void> {
  const { endpoint, p256dh, auth } = service.browser()
  await pool.query(
    `with reached as (update notify.inbox set reachable_by = '{webPush}' where user_id = $1)
     insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id)
     select $1, left(md5($2), 22), $2, $3, $4, max(id) from social.sessions where user_id = $1`,
    [userId, endpoint, p256dh, auth],
  )
}

/** Notes when the last client was live again. Only a client that never becomes live is a failure, because the machine may be busy. */
async function backWithin({ clients, note }: Stage, targetMs: number): Promise<void> {
  const cutAt = performance.now()
  const isBack = (client: FoldingClient) => client.live
  await within(SECOND, () => !clients.every(isBack), 1)
  await within(60 * SECOND, () => clients.every(isBack))
  const last = Math.max(...clients.map((client) => client.liveSince)) - cutAt
  const cut = clients.filter((client) => client.losses > 0).length
  const inTime = clients.filter((client) => client.live && client.liveSince - cutAt <= targetMs).length
  note(
    `${cut} clients were disconnected, the last was live again after ${(last / SECOND).toFixed(1)} s (target: ${targetMs / SECOND} s, met by ${inTime} of ${clients.length})`,
  )
}
