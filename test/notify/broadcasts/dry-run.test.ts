import fc from 'fast-check'
import type pg from 'pg'
import t, { test } from 'tap'
import { setup } from '../../setup.ts'
import { sized } from '../../size.ts'
import { act, addUsers, adminOf, draft, untilIn } from './broadcasts.ts'

t.setTimeout(600_000)
const PEOPLE = 60

const system = await setup(t, { worker: true, env: { POLL_INTERVAL_MS: '20' } })
const { pool } = system
// Before any process has read the types.
await pool.query(
  `insert into notify.types (type, channels, dnd) select 'shop.' || dnd, '{inApp,email,webPush}', dnd from unnest('{defer,silent,ignore}'::text[]) dnd`,
)
const boss = await adminOf(system)

test('a dry run predicts what the send then does, on generated audiences', async (t) => {
  const ids = await addUsers(pool, 'person', PEOPLE)
  const [actor = ''] = ids
  let varied = 0
  await fc.assert(
    fc.asyncProperty(settings, async ({ seed, withActor, channels, type, priority }) => {
      await arrange(pool, ids, actor, seed)
      const content = { title: 'News', type, ...(withActor && { actorId: actor }) }
      const path = await draft(boss, {
        content,
        rule: { ids },
        ...(channels && { channels }),
        ...(priority && { priority }),
      })
      const before = await written(pool)
      const { ms: _, ...dryRun } = (await boss.request('POST', `${path}/dry-run`)).body
      t.same(await written(pool), before, 'nothing is written')
      await act(boss, path, 'send')
      const { progress } = await untilIn(boss, path, 'finished')
      const found = await outcome(pool, path.split('/').at(-1) ?? '', ids)
      t.same(comparable(dryRun), found, JSON.stringify({ seed, withActor, channels, type, priority }))
      const sum = (counts: object) => Object.values(counts).reduce((a: number, b: number) => a + b, 0)
      t.match(progress, {
        total: dryRun.total,
        done: dryRun.total,
        stored: dryRun.shown + dryRun.silent,
        filtered: sum(dryRun.filtered),
        suppressed: sum(dryRun.suppressed),
        failed: 0,
      })
      varied += Object.keys(dryRun.suppressed).length + Object.keys(dryRun.filtered).length
    }),
    { numRuns: sized(50, 15) },
  )
  t.ok(varied > 8, `${varied} different reasons`)
})

const settings = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  withActor: fc.boolean(),
  channels: fc.option(fc.constantFrom(['inApp'], ['email'], ['email', 'webPush'], ['inApp', 'email']), { freq: 2 }),
  type: fc.constantFrom('system', 'shop.news', 'shop.defer', 'shop.silent', 'shop.ignore'),
  priority: fc.option(fc.constantFrom('critical', 'low'), { freq: 3 }),
})

/** Preferences, policies, quiet hours, caps, digests, opt-outs, channels, blocks, mutes and follows, all drawn anew. */
async function arrange(pool: pg.Pool, ids: string[], actor: string, seed: number): Promise<void> {
  const client = await pool.connect()
  const all = `{"enabled": true, "timeZone": "Europe/Berlin", "windows": [{"days": [1,2,3,4,5,6,7], "from": "00:00", "to": "00:00"}]}`
  try {
    await client.query('begin')
    await client.query('select setseed($1::float8)', [seed / 1_000_001])
    await client.query('delete from notify.preferences where user_id = any($1::bigint[])', [ids])
    await client.query('delete from social.blocks where user_id = any($1::bigint[]) or other_id = any($1::bigint[])', [
      ids,
    ])
    await client.query('delete from social.mutes where user_id = any($1::bigint[])', [ids])
    await client.query('delete from social.follows where follower_id = any($1::bigint[])', [ids])
    await client.query(
      `insert into notify.preferences (user_id, document, recent)
       select id, jsonb_strip_nulls(jsonb_build_object(
         'types', case when random() < 0.5 then jsonb_build_object(
           (array['system', 'shop.news', 'shop.defer', 'shop.silent', 'shop.ignore'])[1 + floor(random() * 5)::int],
           jsonb_build_object('inApp', random() < 0.7, 'email', random() < 0.5, 'cap', case when random() < 0.3 then $3::jsonb end)) end,
         'cap', case when random() < 0.4 then jsonb_build_object('atMost', 1 + floor(random() * 2)::int, 'seconds', 3600) end,
         'digest', case when random() < 0.3 then jsonb_build_object('every', (array['day', 'week'])[1 + floor(random() * 2)::int], 'day', 3, 'at', '08:00', 'timeZone', 'UTC') end,
         'channels', case when random() < 0.5 then jsonb_build_object('inApp', random() < 0.5, 'email', random() < 0.5, 'webPush', random() < 0.5) end,
         'policy', jsonb_build_object('strangers', (array['accept', 'filter', 'drop'])[1 + floor(random() * 3)::int]),
         'dnd', case when random() < 0.3 then $2::jsonb end,
         'snoozeUntil', case when random() < 0.2 then to_jsonb('2099-01-01T00:00:00Z'::text) end)), r.recent
       from unnest($1::bigint[]) id
       cross join lateral (
         -- Of the last hour and before: none of them leaves a cap during the test.
         select coalesce(jsonb_agg(jsonb_build_object(
             'type', (array['system', 'shop.news', 'shop.defer', 'shop.silent', 'shop.ignore'])[1 + floor(random() * 5)::int],
             'at', now() - make_interval(mins => 5 + 40 * i)) order by i), '[]') as recent
         from generate_series(0, 3) i where random() < 0.4 and id is not null) r
       where random() < 0.6`,
      [ids, all, '{"atMost": 1, "seconds": 3600}'],
    )
    await client.query(
      `update notify.inbox i set has_preferences = exists (select from notify.preferences p where p.user_id = i.user_id),
         reachable_by = (array['{}', '{email}', '{webPush}', '{email,webPush}'])[1 + floor(random() * 4)::int]::text[]
       where i.user_id = any($1::bigint[])`,
      [ids],
    )
    await client.query('delete from notify.push_subscriptions where user_id = any($1::bigint[])', [ids])
    await client.query(
      `insert into notify.push_subscriptions (user_id, id, session_id, endpoint, p256dh, auth)
       select user_id, 'browser', 0, 'https://push.example.org/' || user_id, 'x', 'x' from notify.inbox
       where user_id = any($1::bigint[]) and 'webPush' = any(reachable_by)`,
      [ids],
    )
    const other = 'from unnest($1::bigint[]) id where id <> $2::bigint and random() <'
    await client.query(`insert into social.blocks (user_id, other_id) select id, $2 ${other} 0.1`, [ids, actor])
    await client.query(
      `insert into social.blocks (user_id, other_id) select $2, id ${other} 0.1 on conflict do nothing`,
      [ids, actor],
    )
    await client.query(`insert into social.mutes (user_id, other_id) select id, $2 ${other} 0.1`, [ids, actor])
    await client.query(`insert into social.follows (follower_id, followee_id) select id, $2 ${other} 0.4`, [ids, actor])
    await client.query('commit')
  } finally {
    client.release()
  }
}

/** The effects of the send, read from the tables, in the format of a dry run. */
async function outcome(pool: pg.Pool, id: string, ids: string[]) {
  const { rows } = await pool.query(
    `with decided as (
       select s.decision, s.decided_by, n.silent, n.filter_reason, i.reachable_by, d.channel, d.state
       from notify.sources s join notify.inbox i using (user_id)
       left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
       left join lateral (
         select jsonb_object_agg(d.channel, case d.state when 'skipped' then 'suppressed:' || d.reason else d.state end) as states
         from notify.deliveries d where d.user_id = s.user_id and d.notification_id = n.id
       ) x on true
       cross join lateral (select null::text as channel, x.states as state) d
       where s.source_id = 'broadcast:' || $1 and s.user_id = any($2::bigint[])
     )
     select count(*)::int as total,
       count(*) filter (where decision = 'shown' and not silent)::int as shown,
       count(*) filter (where decision = 'shown' and silent)::int as silent,
       (select coalesce(jsonb_object_agg(filter_reason, n), '{}') from (select filter_reason, count(*) as n from decided where decision = 'filtered' group by 1) f) as filtered,
       (select coalesce(jsonb_object_agg(decided_by, n), '{}') from (select decided_by, count(*) as n from decided where decision = 'suppressed' group by 1) f) as suppressed,
       count(*) filter (where state ->> 'email' in ('queued', 'suppressed:notConfigured'))::int as "emailQueued",
       count(*) filter (where state ->> 'email' = 'deferred')::int as "emailDeferred",
       count(*) filter (where state ->> 'webPush' in ('queued', 'suppressed:notConfigured'))::int as "pushQueued",
       count(*) filter (where state ->> 'webPush' = 'deferred')::int as "pushDeferred"
     from decided`,
    [id, ids],
  )
  return rows[0]
}

// biome-ignore lint/suspicious/noExplicitAny: the answer of a dry run
function comparable({ channels, noChannel: _, ...counts }: any) {
  const { email, webPush } = channels
  return {
    ...counts,
    emailQueued: email.queued,
    emailDeferred: email.deferred,
    pushQueued: webPush.queued,
    pushDeferred: webPush.deferred,
  }
}

async function written(pool: pg.Pool): Promise<unknown> {
  const { rows } = await pool.query(
    `select (select count(*) from notify.notifications) as notifications, (select count(*) from notify.sources) as sources,
       (select sum(modseq) from notify.inbox) as changes, (select count(*) from notify.outbox) as events`,
  )
  return rows
}
