import fc from 'fast-check'
import t, { test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { compileRule } from '../../../src/social/segments/compile.ts'
import { checkRule, type Rule } from '../../../src/social/segments/rule.ts'
import { signIn } from '../../client.ts'
import { setup } from '../../setup.ts'
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
  t.match((await run('select current_user')).body, {
    detail: /invalid input syntax for type bigint: "ravenpost_readonly"/,
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
  ]
  for (const sql of refused) t.match(await run(sql), { status: 400, body: { errors: [{ pointer: '/sql' }] } }, sql)
  const failing: [sql: string, detail: RegExp][] = [
    [
      'with gone as (delete from social.users returning id) select id from gone',
      /WITH clause containing a data-modifying/,
    ],
    ['select id from social.users for update', /permission denied|not allowed/],
    ['select length(password_hash) from social.users', /permission denied/],
    ['select nothing from social.users', /column "nothing" does not exist/],
    [SLOW, /statement timeout/],
  ]
  for (const [sql, detail] of failing)
    t.match(await run(sql), { status: 422, body: { code: 'BAD_SEGMENT', detail } }, sql)
})
