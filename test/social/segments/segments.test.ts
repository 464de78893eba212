import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import type pg from 'pg'
import t, { test } from 'tap'
import { inSnapshot, LongReads } from '../../../src/db/long-reads.ts'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { compileRule } from '../../../src/social/segments/compile.ts'
import { checkRule, type Rule } from '../../../src/social/segments/rule.ts'
import { signIn } from '../../client.ts'
import { eventually, setup } from '../../setup.ts'
import { sized } from '../../size.ts'
import { facts, makePeople, matches, rules } from './people.ts'

const system = await setup(t)
const { url, pool } = system
await system.as('boss')
await grantAdmin(pool, 'boss')
const boss = await signIn(url, 'boss')
const ids = await makePeople(pool)

test('a compiled rule selects whom the slow evaluator selects, on generated users and rules', async (t) => {
  const people = await facts(pool)
  let selected = 0
  await fc.assert(
    fc.asyncProperty(rules(ids), async (rule) => {
      checkRule(rule)
      const values: unknown[] = []
      const { rows } = await pool.query<{ id: string }>(
        `select u.id from social.users u join notify.inbox i on i.user_id = u.id
         where u.deleted_at is null and ${compileRule(rule, values)} order by u.id`,
        values,
      )
      const expected = people.filter((person) => matches(rule, person))
      selected += expected.length
      t.same(
        rows.map(({ id }) => id),
        expected.map(({ id }) => id),
        JSON.stringify(rule),
      )
    }),
    { numRuns: sized(400, 100) },
  )
  t.ok(selected > 0, `${selected} users selected`)
})

test('a segment is created, changed, listed and deleted', async (t) => {
  const created = await boss.request('POST', '/admin/segments', { name: 'Germans', rule: { locale: 'de' } })
  t.match(created, { status: 201, body: { name: 'Germans', rule: { locale: 'de' }, sql: null } })
  t.match(await boss.request('POST', '/admin/segments', { name: 'Germans', sql: 'select 1' }), {
    status: 409,
    body: { code: 'NAME_TAKEN' },
  })
  const path = `/admin/segments/${created.body.id}`
  t.match(await boss.request('PATCH', path, { sql: 'select 1' }), {
    status: 200,
    body: { rule: null, sql: 'select 1', name: 'Germans' },
  })
  t.match(await boss.get(path), { sql: 'select 1' })
  t.match((await boss.get('/admin/segments')).items, [{ id: created.body.id }])
  t.equal((await boss.request('DELETE', path)).status, 204)
  t.match(await boss.request('GET', path), { status: 404, body: { code: 'SEGMENT_NOT_FOUND' } })
})

test('an invalid rule is refused, with the place of the fault', async (t) => {
  const wrong: [rule: unknown, pointer: string][] = [
    [{ all: [{ role: 'user' }, { not: { locale: 7 } }] }, '/rule/all/1/not/locale'],
    [{ all: [{ role: 'user', locale: 'de' }] }, '/rule/all/0'],
    [{ any: [{}] }, '/rule/any/0'],
    [{ not: { color: 'red' } }, '/rule/not/color'],
    [{ not: { ids: ['x'] } }, '/rule/not/ids/0'],
    [{ not: { createdAfter: '2026-13-41T00:00:00Z' } }, '/rule/not/createdAfter'],
    [{ createdAfter: '2026-02-30T00:00:00Z' }, '/rule/createdAfter'],
    [{ createdBefore: '2026-02-28 24:00:00.5+01:00' }, '/rule/createdBefore'],
    [{ createdBefore: '0000-02-28T00:00:00Z' }, '/rule/createdBefore'],
    [{ createdBefore: '2026-02-28T00:00:00+16:00' }, '/rule/createdBefore'],
    [
      Array.from({ length: 12 }).reduce<unknown>((inner) => ({ not: inner }), { role: 'user' }),
      `/rule${'/not'.repeat(11)}`,
    ],
    [{ all: Array.from({ length: 100 }, () => ({ role: 'user' })) }, '/rule'],
  ]
  for (const [rule, pointer] of wrong) {
    const answer = await boss.request('POST', '/admin/segments/estimate', { rule })
    t.match(
      answer,
      { status: 400, body: { code: 'VALIDATION_FAILED', errors: [{ pointer }] } },
      JSON.stringify(rule).slice(0, 80),
    )
  }
  t.match(await boss.request('POST', '/admin/segments/estimate', {}), { status: 400 })
  t.match(await boss.request('POST', '/admin/segments/estimate', { rule: { role: 'user' }, sql: 'select 1' }), {
    status: 400,
  })
})

test('an estimate returns a count, some users and its duration', async (t) => {
  const rule: Rule = { ids: ids.slice(10, 22) }
  const { status, body } = await boss.request('POST', '/admin/segments/estimate', { rule })
  t.match({ status, ...body }, { status: 200, count: 12, exact: true, ms: Number })
  t.same(
    body.sample.map(({ id }: { id: string }) => id),
    ids.slice(10, 20),
  )
})

/** Joins every user with every other, six times. */
const SLOW = `select count(*) from ${'abcdef'
  .split('')
  .map((name) => `social.users ${name}`)
  .join(', ')} where a.id + b.id + c.id + d.id + e.id + f.id = 0`

test('the SQL of a segment runs as ravenpost_readonly and can only read', async (t) => {
  const run = (sql: string) => boss.request('POST', '/admin/segments/estimate', { sql })
  t.match(await run(`select id from social.users where id in (${ids.slice(0, 3).join(', ')})`), {
    status: 200,
    body: { count: 3, exact: true },
  })
  const nested = `with active as (select user_id, count(*) from social.sessions group by user_id) select user_id from active`
  t.match(await run(nested), { status: 200, body: { count: 30 } })
  const reader = `select case current_user when 'ravenpost_readonly' then 77 end`
  t.match(await run(`select id from social.users where ${ids[0]} + 77 = id + (${reader})`), { body: { count: 1 } })
  t.match(await run(`select 1 from ops.lag as l where l.age is not null and 'x.lo_creat' is null`), {
    body: { count: 0 },
  })
  const refused = [
    'delete from social.users',
    'select 1; delete from social.users',
    'select 1) x; delete from social.users where id in (select 1',
    `select set_config('role', 'postgres', false)`,
    `select "set_config"('role', 'postgres', false)`,
    `select U&"set\\005fconfig"('role', 'postgres', false)`,
    `select query_to_xml('select 1', true, true, '')`,
    'select pg_sleep(60)',
    `select pg_catalog.pg_read_file('/etc/passwd')`,
    'select 1 -- comment',
    'select $$x$$',
    `select E'\\'' , pg_sleep(1) as "'"`,
    `select ntile (3) over ()`,
    'select (1',
    'select (-1).lo_creat',
    'select (-1)\n . "lo_creat"',
    `select (('select to_tsvector(set_config(''work_mem'',''77MB'',false))'::text).ts_stat).ndoc`,
    'select a[1].lo_creat from (select array[-1] as a) x',
    'select (u).ts_stat from social.users u',
    `select notify.age('x')`,
    `select id operator(pg_catalog.+) 1 from social.users`,
    `select u."lo_creat" as "it's" from abs(-1) u`,
  ]
  for (const sql of refused) t.match(await run(sql), { status: 400, body: { errors: [{ pointer: '/sql' }] } }, sql)
  const failing: [sql: string, detail: RegExp][] = [
    [
      'with gone as (delete from social.users returning id) select id from gone',
      /WITH clause containing a data-modifying/,
    ],
    ['select u.lo_creat from abs(-1) u', /may not call lo_creat/],
    ['select u . "lo_creat" from abs(-1) u', /may not call lo_creat/],
    [
      `select 1 from (select u.TS_STAT from lower('select to_tsvector(set_config(''work_mem'',''77MB'',false))') u) x`,
      /may not call ts_stat/,
    ],
    [`select 1 from (select u.current_setting from lower('port') u) x`, /may not call current_setting/],
    [`select 'social.users'::regclass.nextval`, /may not call nextval|does not exist|syntax/],
    ['select u.nothing from abs(-1) u', /column u.nothing does not exist/],
    ['select id from social.users for update', /SQLSTATE 0A000/],
    ['select length(password_hash) from social.users', /permission denied/],
    ['select nothing from social.users', /column "nothing" does not exist/],
    [SLOW, /statement timeout/],
  ]
  for (const [sql, detail] of failing)
    t.match(await run(sql), { status: 422, body: { code: 'BAD_SEGMENT', detail } }, sql)
})

test('nothing remains of what a query sets, and values of rows are not in its errors', async (t) => {
  const setting = { set: `select set_config('work_mem', '77MB', false)`, read: 'show work_mem' }
  const pool = new LongReads({ config: system.config, log: system.app.log })
  t.teardown(() => pool.close())
  const read = () => pool.run(new PassThrough(), (client) => client.query(setting.read))
  const before = await read()
  await pool.run(new PassThrough(), (client) => inSnapshot(client, 1000, () => client.query(setting.set)))
  t.same((await read()).rows, before.rows)

  const fails = [
    ['cast(email as bigint)', 'a value does not have the form of its type'],
    ['1 / (id - id)', 'division by zero'],
    ...['regclass', 'regtype', 'regproc', 'regrole'].map((type) => [`email::${type}::oid::bigint`, 'SQLSTATE']),
    ['email::jsonpath::text::bigint', 'SQLSTATE'],
    ['(select id from social.users)', 'a subquery returned more than one row'],
  ]
  for (const [column, detail] of fails) {
    const sql = `select ${column} from social.users where email is not null`
    const { status, body } = await boss.request('POST', '/admin/segments/estimate', { sql })
    t.match({ status, body }, { status: 422, body: { code: 'BAD_SEGMENT', detail: new RegExp(String(detail)) } }, sql)
    t.notMatch(JSON.stringify(body), 'example.org', sql)
    const { items } = await boss.get('/admin/audit?action=segment.estimate&limit=1')
    t.match(items, [{ target: null, after: { sql } }])
  }
})

test('two estimates run at a time, not on the connections of requests; few wait, and others are refused', async (t) => {
  const run = () => boss.request('POST', '/admin/segments/estimate', { sql: SLOW })
  const all = Promise.all(Array.from({ length: 12 }, run))
  const { status } = await boss.request('GET', '/posts/999999999')
  t.equal(status, 404, 'other requests go on')
  const answers = (await all).map(({ status, body }) => `${status} ${body.code}`).sort()
  t.same(new Set(answers), new Set(['422 BAD_SEGMENT', '503 BUSY']))
  t.equal(answers.length, 12)
  const refused = answers.filter((answer) => answer === '503 BUSY').length
  t.ok(refused >= 6 && refused <= 10, `${refused} refused, and those that waited too long`)
})

test('a long read ends after its time, and when its client leaves', async (t) => {
  const running = () =>
    pool.query(`select from pg_stat_activity where application_name = 'ravenpost long reads' and state = 'active'`)
  const ended = () => eventually(async () => (await running()).rowCount === 0)
  const short = new LongReads({ config: system.config, log: system.app.log, totalMs: 300 })
  t.teardown(() => short.close())
  const sleep = (client: pg.ClientBase) => client.query('select pg_sleep(60)')
  await t.rejects(
    short.run(new PassThrough(), (client) => inSnapshot(client, 60_000, () => sleep(client))),
    { code: 'READ_TOO_SLOW' },
  )
  await ended()

  const leaving = new AbortController()
  const made = await boss.request('POST', '/admin/segments', { name: 'Slow', sql: SLOW })
  const content = { title: 'News' }
  const draft = await boss.request('POST', '/admin/broadcasts', { name: 'x', content, segmentId: made.body.id })
  const asked = fetch(`${url}/admin/broadcasts/${draft.body.id}/dry-run`, {
    method: 'POST',
    headers: { authorization: `Bearer ${boss.accessToken}` },
    signal: leaving.signal,
  })
  await eventually(async () => (await running()).rowCount === 1)
  leaving.abort()
  await t.rejects(asked)
  await ended()
})
