import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { OUTBOX_CHANNEL } from '../../src/base/wake-ups.ts'
import { Latencies, type Latency } from '../load/latency.ts'
import type { World } from '../world.ts'
import type { Measured } from './scenario.ts'
import type { System } from './with-system.ts'

/** Critical events per second. */
export const CRITICAL = 10

/** Sends critical events while a backlog of the likes of these posts, released at once, is dispatched. */
export async function passBacklog(
  { system, load }: System,
  world: World,
  first: number,
  last: number,
): Promise<Measured> {
  const release = await system.hold()
  await system.fill(first, last)
  let running = true
  const arriving = load.expect({ count: last - first + 1, withinMs: 120_000 }).finally(() => {
    running = false
  })
  await release()
  const { p50, p99 } = await sendCritical(system.databaseUrl, world, async () => running)
  const { arrived, doubled } = await arriving
  return {
    'critical past a backlog: p50 ms': p50,
    'critical past a backlog: p99 ms': p99,
    'lost of the backlog': Math.max(0, last - first + 1 - arrived),
    'doubled of the backlog': doubled,
  }
}

/** Sends to one user after the other, like a service that sends security codes. The users have no sockets, because the time ends at the stored row. */
export async function sendCritical(
  databaseUrl: string,
  { recipients, likers }: World,
  running: () => Promise<boolean>,
): Promise<Latency> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const latencies = new Latencies()
  for (let number = 0; await running(); number++) {
    const dueAt = performance.now() + 1000 / CRITICAL
    const source = `bench:${crypto.randomUUID()}`
    const user = recipients + 1 + (number % likers)
    await client.query(
      `insert into notify.outbox (critical, counted, action, source_id, type, recipient_id) values (true, true, 'bench', $1, 'bench.code', $2)`,
      [source, user],
    )
    const sentAt = performance.now()
    await client.query(`notify ${OUTBOX_CHANNEL}`)
    const stored = () =>
      client.query('select from notify.sources where user_id = $1 and source_id = $2', [user, source])
    while ((await stored()).rowCount === 0) await sleep(5)
    latencies.record(performance.now() - sentAt)
    await sleep(Math.max(0, dueAt - performance.now()))
  }
  await client.end()
  return latencies.summary()
}
