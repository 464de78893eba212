import pg from 'pg'
import {
  COUNTS_CHANNEL,
  encodeChangedInboxes,
  INBOX_CHANNEL,
  OUTBOX_CHANNEL,
  SESSION_CHANNEL,
} from '../../src/base/wake-ups.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

export const hints: Scenario[] = [
  {
    name: 'lying-hints',
    what: 'a role without privileges sends NOTIFYs about every session, inbox and post: no client is disconnected',
    checkedBy: 'test/push/lying-hints.test.ts',
    async disturb(stage) {
      const { system, world, clients, quick, note, expect } = stage
      const losses = () => clients.reduce((sum, client) => sum + client.losses, 0)
      const before = losses()
      const { rows } = await system.pool.query<{ last: string }>('select max(id) as last from social.sessions')
      const liar = await connectWithoutPrivileges(stage)
      const until = performance.now() + (quick ? 10 : 30) * SECOND
      let lies = 0
      while (performance.now() < until) {
        const inboxes = encodeChangedInboxes(new Map(world.members.map(({ id }) => [id, 2 ** 40 + lies])))
        const payloads = [...inboxes.map((p) => [INBOX_CHANNEL, p]), [COUNTS_CHANNEL, world.posts.slice(0, 500).join()]]
        await liar.query('select pg_notify($1, g::text) from generate_series(1, $2::int) g', [
          SESSION_CHANNEL,
          Math.min(Number(rows[0]?.last), 5000),
        ])
        for (const [channel, payload] of [...payloads, [OUTBOX_CHANNEL, String(lies)]])
          await liar.query('select pg_notify($1, $2)', [channel, payload])
        lies += 1
        await sleep(SECOND / 20)
      }
      await liar.end()
      note(`${lies} rounds of lies`)
      expect(losses() === before, `${losses() - before} sockets were closed`)
    },
  },
]

async function connectWithoutPrivileges({ system }: Stage): Promise<pg.Client> {
  await system.pool.query(
    `do $$ begin if to_regrole('chaos_nobody') is null then create role chaos_nobody login password 'x'; end if; end $$`,
  )
  const url = new URL(system.databaseUrl)
  url.username = 'chaos_nobody'
  url.password = 'x'
  const client = new pg.Client({ connectionString: url.href, application_name: 'chaos liar' })
  client.on('error', () => {})
  await client.connect()
  return client
}
