import type pg from 'pg'
import t from 'tap'
import type { App } from '../../src/app.ts'
import { changesSince } from '../../src/notifications/changes.ts'
import { listNotifications } from '../../src/notifications/list.ts'
import { fillInbox, inboxApp, makeUsers } from './events.ts'

const USERS = 300
const EACH = 60

t.test('what changed in many inboxes is read by index, a few pages per user', async (t) => {
  const app = await inboxApp(t)
  const users = await manyInboxes(app)
  const requests = users.map((userId) => ({ userId, since: EACH - 1, limit: 100 }))
  const { answer, plans } = await explained(app, (pool) => changesSince(pool, requests))
  t.equal(answer.size, USERS)
  t.notMatch(plans, /Seq Scan on (notifications|tombstones)/)
  t.ok(pagesOf(plans) < 20 * USERS, `${pagesOf(plans)} pages`)
  t.notMatch(plans, /JIT/)
})

t.test('a page out of a large inbox costs a page, whatever the filter', async (t) => {
  const app = await inboxApp(t)
  await manyInboxes(app)
  const [ana = ''] = await makeUsers(app, ['Ana'])
  await fillInbox(app, ana, 20_000)
  await app.pool.query('update notify.inbox set acked_modseq = 19900 where user_id = $1', [ana])
  await app.pool.query('vacuum analyze notify.notifications')
  for (const filter of ['all', 'unread', 'pending', 'history'] as const) {
    const { answer, plans } = await explained(app, (pool) => listNotifications(pool, ana, { filter, limit: 20 }))
    t.equal(answer.items.length, 20)
    t.ok(pagesOf(plans) < 100, `${filter}: ${pagesOf(plans)} pages`)
  }
})

async function manyInboxes(app: App): Promise<string[]> {
  const users = await makeUsers(
    app,
    Array.from({ length: USERS }, (_, n) => `User ${n}`),
  )
  await app.pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, expires_at)
     select u, g, g, g, 'system', 'Notice', now() + interval '90 days' from unnest($1::bigint[]) u, generate_series(1, $2::int) g`,
    [users, EACH],
  )
  await app.pool.query('update notify.inbox set modseq = $2::int where user_id = any($1::bigint[])', [users, EACH])
  await app.pool.query('vacuum analyze notify.notifications')
  return users
}

/** Runs `work` with a pool that explains each statement beside running it. */
async function explained<T>(app: App, work: (pool: pg.Pool) => Promise<T>): Promise<{ answer: T; plans: string }> {
  const plans: string[] = []
  const query = async ({ text, values }: { text: string; values: unknown[] }) => {
    const explanation = await app.pool.query(`explain (analyze, buffers, timing off) ${text}`, values)
    plans.push(...explanation.rows.map((row) => String(row['QUERY PLAN'])))
    return app.pool.query(text, values)
  }
  const pool: pg.Pool = Object.assign(Object.create(app.pool), { query })
  return { answer: await work(pool), plans: plans.join('\n') }
}

/** Pages read by the statements, each by its topmost node; not those read for planning. */
function pagesOf(plans: string): number {
  const tops = plans.replaceAll(/^Planning:\n {2}Buffers.*$/gm, '').match(/^ {2}Buffers: shared.*$/gm) ?? []
  return tops
    .flatMap((line) => line.match(/(?:hit|read)=\d+/g) ?? [])
    .reduce((sum, part) => sum + Number(part.split('=')[1]), 0)
}
