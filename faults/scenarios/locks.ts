import pg from 'pg'
import type { Scenario, Stage } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

const minutes = (quick: boolean) => (quick ? 20 : 600) * SECOND

/** Another client of the same database holds locks, snapshots or connections. */
export const locks: Scenario[] = [
  {
    name: 'idle-in-transaction',
    what: 'a repeatable-read transaction and one that wrote to the log stay open for ten minutes',
    async disturb(stage) {
      const [a, b] = stage.world.members
      if (!a || !b || stage.load.follows.has(`${a.id}:${b.id}`)) return
      stage.load.follows.set(`${a.id}:${b.id}`, 'busy')
      await Promise.all([
        holdOpen(stage, ['select count(*) from notify.inbox']),
        holdOpen(stage, [
          `insert into social.follows (follower_id, followee_id) values (${b.id}, ${a.id})`,
          `insert into notify.outbox (action, counted, source_id, type, recipient_id, actor_id, object_type, object_id, group_key, data)
           values ('follow', true, 'follow:${b.id}:${a.id}', 'user.followed', ${a.id}, ${b.id}, 'user', '${a.id}',
                   'user.followed:late', '{"followeeId": "${a.id}"}')`,
        ]),
      ])
      stage.load.follows.set(`${a.id}:${b.id}`, 'exists')
    },
  },
  {
    name: 'inbox-held',
    what: 'a transaction locks ten inboxes for 30 seconds: their lanes continue without them',
    disturb: (stage) =>
      holdRows(
        stage,
        'select from notify.inbox where user_id = any($1::bigint[]) order by user_id for update',
        stage.world.members.slice(0, 10).map(({ id }) => id),
      ),
  },
  {
    name: 'posts-held',
    what: 'a transaction locks ten posts for 30 seconds: only likes and comments of these posts wait',
    disturb: (stage) =>
      holdRows(
        stage,
        'select from social.posts where id = any($1::bigint[]) order by id for update',
        stage.world.posts.slice(0, 10),
      ),
  },
  {
    name: 'connections-exhausted',
    what: '300 idle connections take all slots of PostgreSQL for 20 seconds',
    async disturb(stage) {
      const idle = await Promise.all(Array.from({ length: 300 }, () => connect(stage).catch(() => undefined)))
      const taken = idle.filter((client) => client !== undefined)
      stage.note(`${taken.length} slots taken`)
      stage.expect(taken.length < 300, 'PostgreSQL accepted every connection: no slots were exhausted')
      // Pools close idle connections after 10 s. From then on they find no free slot.
      await sleep((stage.quick ? 12 : 20) * SECOND)
      await Promise.all(taken.map((client) => client.end()))
    },
  },
]

async function connect({ system }: Stage): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: system.databaseUrl, application_name: 'chaos idle' })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function holdRows(stage: Stage, statement: string, ids: string[]): Promise<void> {
  const client = await connect(stage)
  await client.query('begin')
  await client.query(statement, [ids])
  const before = stage.load.completed
  await sleep((stage.quick ? 5 : 30) * SECOND)
  stage.note(`${stage.load.completed - before} actions meanwhile`)
  stage.expect(stage.load.completed > before, 'all actions waited for the locked rows')
  await client.query('commit')
  await client.end()
}

/** The load continues meanwhile. Nothing may wait for this transaction, and none of its events may be missed. */
async function holdOpen(stage: Stage, statements: string[]): Promise<void> {
  const client = await connect(stage)
  await client.query('begin isolation level repeatable read')
  for (const statement of statements) await client.query(statement)
  const before = stage.load.completed
  await sleep(minutes(stage.quick))
  const { rows } = await stage.system.pool.query<{ n: string }>('select sum(events) as n from ops.lag')
  stage.note(`${stage.load.completed - before} actions meanwhile, ${rows[0]?.n} events unread at its end`)
  stage.expect(Number(rows[0]?.n) < 1000, `events waited for an open transaction: ${rows[0]?.n}`)
  await client.query('commit')
  await client.end()
}
