import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { readConfig } from '../src/config.ts'
import { createPool } from '../src/db/pool.ts'
import { Reader } from '../src/http/shown-sql/reader.ts'
import { maintainDeliveryLog } from '../src/notify/delivery-log/partitions.ts'
import { textOfRows } from '../src/ops/console/tables.ts'

/**
 * `node bench/console.ts <database url>`: measures each statement of the console, by `explain (analyze, buffers)` as
 * ravenpost_readonly, on a database that bench/generate.ts has filled. First adds a past: events, delivery log, mails, windows,
 * dead letters, audit, a broadcast. The exit status is 1 if a statement takes more than 50 ms.
 */
const FOLDER = join(import.meta.dirname, '../src/ops/console/sql')
const LIMIT_MS = 50
const RUNS = 5
const [url] = process.argv.slice(2)
if (!url) throw new Error('specify the filled database: node bench/console.ts postgres://…')

/** Parameters of the statements. User 1 has the largest inbox; pages are as large as the API allows. */
const parameters: Record<string, (string | number | boolean | null)[]> = {
  advice: ['16GB'],
  audit: [null, null, null, null, null, null, 101],
  badge: ['1'],
  breakers: [null, null, null, 101],
  broadcast: ['1'],
  'broadcast-reached': ['broadcast:1', '0', 10_000],
  'broadcast-recipients': ['broadcast:1', '500000', 101],
  broadcasts: [null, 101],
  'dead-letter-causes': [null, null, 101],
  'dead-letters': [null, 101, null, null, true],
  'deliveries-finished': [null, null, 0, 101],
  'deliveries-waiting': [null, null, 0, 101],
  explain: ['1', null, null, null, 101],
  history: [],
  invariants: [],
  jobs: [null, null, 101],
  lanes: [],
  locks: [],
  'notification-types': [0, 101],
  pending: [null, null, 0, 101],
  pipeline: ['999500', new Date(Date.now() - 60_000).toISOString()],
  segments: ['0', 101],
  settings: [null, null, 101],
  system: [],
  table: ['notify.notifications'],
  tables: [],
  template: ['1'],
  templates: ['0', 101],
  timeline: ['1', null, null, 0, 101],
  trace: ['1', '2'],
  'trace-request': ['none', null, 50_000],
  webhooks: [null, 101],
  users: ['user_1', null, 101],
  why: ['1', '2'],
  'why-not': ['1', 'like:2:4'],
  workers: [null, null, null, 101],
}
/** Pages of tables. */
const pages: Record<string, unknown[]> = {
  'rows-notify.notifications-newest': [101],
  'rows-notify.notifications-key': [101],
  'rows-notify.notifications-key-user_id': [101, '1'],
  'rows-notify.sources-key-user_id': [101, '1'],
  'rows-notify.outbox-newest': [101],
  'rows-notify.delivery_log-newest': [101],
  'rows-social.users-newest': [101],
}
/** Later pages of lists. */
const laterPages: [name: string, values: (string | number | null)[]][] = [
  ['deliveries-waiting', [String((Date.now() + 100_000_000) * 1000), '100000', 20, 101]],
  ['pending', [String((Date.now() + 10_000_000) * 1000), '10000', 1, 101]],
  ['timeline', ['1', '3000', null, 0, 101]],
  ['users', ['user_1', '150000', 101]],
]

/** Rows that bench/generate.ts does not make. */
const history = [
  `insert into notify.outbox (xid, critical, counted, action, source_id, type, recipient_id, created_at)
   select (3 + i::bigint * (xmin - 3) / 1000001)::text::xid8, i % 100 = 0, i % 10 = 0, 'like', 'like:' || i % 1000 || ':' || i, 'post.liked', 1 + i % 100000,
     now() - (1000000 - i) * interval '0.1 seconds'
   from generate_series(1, 1000000) i, (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint) s (xmin)`,
  'update notify.positions set done = pg_current_snapshot()',
  `insert into notify.delivery_log (at, recipient_id, notification_id, event, channel, modseq)
   select greatest(date_trunc('day', now() at time zone 'UTC') at time zone 'UTC', now() - (2000000 - i) * interval '0.01 seconds'), 1 + i % 100000, 1 + i / 100000,
     (array['stored', 'pushed', 'acknowledged'])[1 + i % 3], 'inApp', 1 + i / 100000
   from generate_series(1, 2000000) i`,
  `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, due_at)
   select i, 1, case when i % 2 = 0 then 'email' else 'webPush' end, 'primary', case when i % 10 = 0 then 'queued' else 'sent' end, 1,
     case when i % 10 = 0 then now() + i * interval '1 second' end
   from generate_series(1, 300000) i`,
  `insert into notify.windows (user_id, group_key, type, due_at)
   select i, 'post.liked:x', 'post.liked', now() + i * interval '1 second' from generate_series(1, 20000) i`,
  `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, error_class, dead_at, due_at)
   select 'notifications', i, 1 + i % 1000, jsonb_build_object('sourceId', 'like:1:' || i, 'type', 'post.liked', 'data', '{}'::jsonb), 12,
     'invalid value "' || i || '" in row ' || i % 7, '22P02', case when i % 5 = 0 then now() end, now() + i * interval '1 second'
   from generate_series(1, 20000) i`,
  `select count(notify.write_audit('user:1', 'test.write', 'test:' || i, null, '{}')) from generate_series(1, 20000) i`,
  `insert into notify.broadcasts (name, state, created_by, audience, content, total, done, stored)
   select 'News ' || i, 'finished', 1, '{"everyone": true}', '{"type": "system", "title": "News", "data": {}, "translations": {}}', 1000000, 1000000, 1000000
   from generate_series(1, 500) i`,
  `insert into notify.sources (user_id, source_id, event_id, notification_id, live, notified, decision)
   select i, 'broadcast:1', 0, 1, true, true, 'shown' from generate_series(1, 1000000) i`,
  `update notify.notifications set thread_key = 'broadcast:1' where id = 1`,
  `insert into notify.broadcast_late (broadcast_id, event_id, recipient_id) select 1, i, i from generate_series(1, 1000) i`,
  `insert into social.segments (name, rule) select 'Segment ' || i, '{"locale": "de"}' from generate_series(1, 500) i`,
  `with t as (insert into notify.templates (name) select 'Template ' || i from generate_series(1, 500) i returning id)
   insert into notify.template_versions (template_id, version, type, title, variables, translations) select id, 1, 'system', 'Hello', '{}', '{}' from t`,
  `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, waits_for)
   select 1, 'like:0:' || i, 0, true, false, 'waiting', 'post.liked:x' from generate_series(1, 5000) i`,
  `insert into notify.tombstones (user_id, modseq, id) select 1, 20000 + i, 20000 + i from generate_series(1, 5000) i`,
  `insert into notify.webhooks (endpoint, events) select 'https://' || i || '.example.org', '{notification.created}' from generate_series(1, 100) i`,
  `insert into notify.webhook_deliveries (webhook_id, event, recipient_id, notification_id)
   select 1 + i % 100, 'notification.created', 1 + i % 100000, 1 from generate_series(1, 300000) i`,
  `insert into notify.processes (id, role, host, pid, memory_bytes, breakers)
   select i, 'worker', 'host-' || i, 1, 1, '[{"name": "mail", "closed": 0}, {"name": "https://push.example.org", "closed": 9}]' from generate_series(1, 50) i`,
  `select count(graphile_worker.add_job('dispatch_outbox')) from generate_series(1, 10000) i`,
]

await makeHistory(url)
const log = pino({ level: 'silent' })
const pool = createPool({ url, size: 1, log, name: 'bench', queryTimeoutMs: 60_000 })
console.log('| statement | rows | ms | buffers |\n|---|---:|---:|---:|')
let slow = 0
const report = async (name: string, text: string, values: unknown[]) => {
  const { rows, ms, buffers } = await explain(text, values)
  if (ms > LIMIT_MS) slow += 1
  console.log(`| ${name} | ${rows} | ${ms.toFixed(1)} | ${buffers} |`)
}
for (const file of readdirSync(FOLDER).sort()) {
  const name = file.replace('.sql', '')
  const values = parameters[name]
  if (!values) throw new Error(`parameters for ${name} are missing`)
  await report(name, readFileSync(join(FOLDER, file), 'utf8'), values)
}
for (const [name, values] of laterPages)
  await report(`${name}, a later page`, readFileSync(join(FOLDER, `${name}.sql`), 'utf8'), values)
const config = readConfig({ DATABASE_URL: url, JWT_SECRET: 'not used to sign anything'.padEnd(32) })
const reader = new Reader({ config, log, folder: FOLDER })
for (const [name, values] of Object.entries(pages)) await report(name, (await textOfRows(reader, name)) ?? '', values)
await reader.close()
await pool.end()
if (slow > 0) console.error(`${slow} statements take more than ${LIMIT_MS} ms`)
process.exitCode = slow > 0 ? 1 : 0

type Plan = { 'Actual Rows': number; 'Shared Hit Blocks': number; 'Shared Read Blocks': number }

/**
 * `ms`: CPU time of the fastest run in the backend, with planning, so that a busy machine does not matter. Requires Linux and
 * a database on this machine. Buffers have 8 kB.
 */
async function explain(text: string, values: unknown[]): Promise<{ rows: number; ms: number; buffers: number }> {
  const client = await pool.connect()
  const { rows: own } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  // Nanoseconds.
  const used = () => Number(readFileSync(`/proc/${own[0]?.pid}/schedstat`, 'utf8').split(' ')[0])
  await client.query('begin read only; set local role ravenpost_readonly')
  const { rows } = await client.query(`explain (analyze, buffers, timing off, format json) ${text}`, values)
  const [{ Plan: plan }] = rows[0]['QUERY PLAN'] as [{ Plan: Plan }]
  const found = []
  for (let run = 0; run < RUNS; run += 1) {
    const before = used()
    await client.query(text, values)
    found.push((used() - before) / 1e6)
  }
  await client.query('rollback')
  client.release()
  return {
    rows: plan['Actual Rows'],
    ms: Math.min(...found),
    buffers: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
  }
}

/** Does nothing on a second run. */
async function makeHistory(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select from notify.broadcasts limit 1')
  if (rows.length === 0) {
    const alone = new pg.Pool({ connectionString: url })
    await maintainDeliveryLog(alone, pino({ level: 'silent' }), 30)
    await alone.end()
    await client.query('set session_replication_role = replica; set synchronous_commit = off')
    for (const text of history) await client.query(text)
    await client.query('vacuum analyze')
  }
  await client.end()
}
