import { test } from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { purge } from '../../src/worker/retention.ts'
import { signIn, type TestClient } from '../client.ts'
import { setup, type TestSystem } from '../setup.ts'

type Entry = { id: string; action: string; actor: string; target: string; before: unknown; after: unknown }

const newDeadLetter = `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
  select 'notifications', coalesce(max(event_id), 0) + 1, 1, '{"sourceId": "like:1:1"}', 9, 'why', now() from notify.pending returning id`

async function adminOf({ as, pool, url }: TestSystem): Promise<TestClient> {
  await as('ana')
  await grantAdmin(pool, 'ana')
  return signIn(url, 'ana')
}

test('every change by an admin, a service or a SQL function writes an audit row, with before and after', async (t) => {
  const system = await setup(t)
  const { pool } = system
  const admin = await adminOf(system)
  const me = `user:${admin.id}`
  const hook = { url: 'https://example.org/a-secret-path', events: ['notification.created'] }
  const made = await admin.request('POST', '/webhooks', hook)
  await admin.request('PATCH', `/webhooks/${made.body.id}`, { description: 'Shop' })
  await admin.request('PATCH', '/webhooks/999', { description: 'Nobody' })
  const { body: token } = await admin.request('POST', '/service-tokens', { name: 'shop', scopes: ['webhooks'] })
  const service = { authorization: `Bearer ${token.token}` }
  await admin.request('POST', `/webhooks/${made.body.id}/rotate-secret`, undefined, service)
  await admin.request('DELETE', `/webhooks/${made.body.id}`)
  await admin.request('DELETE', `/service-tokens/${token.id}`)
  await admin.request('PATCH', '/admin/notification-types/post.liked', { jitter: 0.5 })
  const [byApi, bySql] = [(await pool.query(newDeadLetter)).rows[0].id, (await pool.query(newDeadLetter)).rows[0].id]
  await admin.request('POST', `/admin/dead-letters/${byApi}/replay`)
  await pool.query('select notify.replay_dead_letter($1)', [bySql])
  await pool.query(`select notify.replay('notifications', now() - interval '1 hour')`)
  const { body: sent } = await admin.request(
    'POST',
    '/notifications/send',
    { recipientId: admin.id, title: 'Hello', message: 'Only for you' },
    { 'idempotency-key': 'hello' },
  )

  const { items } = await admin.get('/admin/audit?limit=100')
  t.same((await pool.query('select * from ops.audit_breaks')).rows, [], 'the chain holds')
  const { role } = (await pool.query('select current_user as role')).rows[0]
  const [hookName, tokenName] = [`webhook:${made.body.id}`, `service_token:${token.id}`]
  const shop = { name: 'shop', scopes: ['webhooks'] }
  const dead = { attempts: 9, deadAt: 'a time' }
  const endpoint = { host: 'https://example.org', events: hook.events }
  t.same(
    items
      .map(({ actor, action, target, before, after }: Entry) => [actor, action, target, timeless(before), after])
      .reverse(),
    [
      [`role:${role}`, 'user.change_role', me, { role: 'user' }, { role: 'admin' }],
      [me, 'webhook.create', hookName, null, endpoint],
      [me, 'webhook.change', hookName, { description: null }, { description: 'Shop' }],
      [me, 'service_token.create', tokenName, null, shop],
      [`token:${token.id}`, 'webhook.rotate_secret', hookName, null, null],
      [me, 'webhook.delete', hookName, { ...endpoint, description: 'Shop' }, null],
      [me, 'service_token.revoke', tokenName, shop, null],
      [me, 'notification_type.change', 'notification_type:post.liked', { jitter: 0.25 }, { jitter: 0.5 }],
      [me, 'dead_letter.replay', `dead_letter:${byApi}`, dead, { attempts: 0, deadAt: null }],
      [`role:${role}`, 'dead_letter.replay', `dead_letter:${bySql}`, dead, { attempts: 0, deadAt: null }],
      [
        me,
        'notification.send',
        `send:${sent.sendId}`,
        null,
        {
          type: 'system',
          recipientIds: [admin.id],
          externalIds: [],
          sendId: sent.sendId,
          total: 1,
          accepted: 1,
          duplicates: 0,
        },
      ],
    ],
  )
  const ids = items.map(({ id }: Entry) => Number(id))
  t.same(
    ids,
    [...ids.keys()].map((place) => ids.length - place),
    'numbers without gaps',
  )
  t.match(items[3], { requestId: /./, address: '127.0.0.1', databaseRole: role, application: /ravenpost/ })
  t.notMatch(JSON.stringify(items), /secret-path|whsec_|rp_|Only for you/, 'no secret, no text for a person')

  const list = async (query: string): Promise<string[]> =>
    (await admin.get(`/admin/audit?${query}`)).items.map(({ action }: Entry) => action)
  t.same(await list(`target=${hookName}&action=webhook.delete&actor=${me}`), ['webhook.delete'])
  t.same(await list('from=2999-01-01T00:00:00Z'), [])
  t.equal((await list('to=2999-01-01T00:00:00Z')).length, ids.length)
  const first = await admin.get('/admin/audit?limit=4')
  const second = await admin.get(`/admin/audit?limit=100&cursor=${first.nextCursor}`)
  t.same([...first.items, ...second.items], items, 'page after page')
  const headers = { authorization: `Bearer ${admin.accessToken}` }
  const lines = (await (await fetch(`${system.url}/admin/audit/export`, { headers })).text()).trim().split('\n')
  t.same(
    lines.map((line: string) => JSON.parse(line)),
    items,
  )
  const csv = (await admin.get(`/admin/audit/export?format=csv&target=${me}`)).split('\r\n')
  t.match(csv, [/^id,at,actor,action,target,before,after,/, /,user.change_role,.*,"{""role"":""user""}",/, ''])
  for (const format of ['csv', 'ndjson']) {
    const refused = await fetch(`${system.url}/admin/audit/export?format=${format}&action=%00`, { headers })
    t.match(await refused.json(), { status: 422, code: 'BAD_PARAMETER' }, `${format}: an error before the first row`)
  }
})

const timeless = (before: unknown) =>
  before && typeof before === 'object' && 'deadAt' in before ? { ...before, deadAt: 'a time' } : before

/** Functions that write, of which a DBA calls those with a statement here. The second test has the expiry. */
const BY_OPERATORS: Record<string, string | undefined> = {
  'notify.replay': `select notify.replay('notifications', now() - interval '1 hour')`,
  'notify.replay_dead_letter':
    'select notify.replay_dead_letter(min(id)) from notify.pending where dead_at is not null',
  'notify.skip_event': `select notify.skip_event(consumer, event_id) from notify.pending where dead_at is null limit 1`,
  'ops.advance_sequences': `insert into notify.templates (id, name) overriding system value values (99, 'x'); select ops.advance_sequences()`,
  'notify.pause_lanes': `select notify.pause_lanes('counters')`,
  'notify.resume_lanes': 'select notify.resume_lanes()',
  'notify.set_journal': 'select notify.set_journal(true)',
  'notify.expire_audit': undefined,
}
/** The log of applications, which ops and the delivery history show; parts of others; what migrations run. */
const UNAUDITED = {
  doors: ['notify.emit', 'notify.retract'],
  parts: [
    'notify.append_send',
    'notify.append_unreached',
    'notify.attach_partition',
    'notify.drop_partition',
    'notify.queue_dead_letter',
    'notify.switch_lanes',
    'notify.write_audit',
    'social.either_blocks',
  ],
  migrations: [
    'ops.give_log_away',
    'ops.grant_privileges',
    'ops.grant_to_app',
    'ops.grant_to_emitters',
    'ops.grant_to_readonly',
    'ops.guard_segments',
    'ops.make_roles',
  ],
}

test('every SQL function that changes something for an operator leaves its row', async (t) => {
  const system = await setup(t)
  const { pool, as } = system
  const ana = await as('ana')
  await ana.like((await (await as('ben')).post('Hello')).id)
  await pool.query(newDeadLetter)
  await pool.query(newDeadLetter)
  const { rows } = await pool.query<{ name: string }>(
    `select pronamespace::regnamespace || '.' || proname as name from pg_proc
     where pronamespace::regnamespace::text in ('social', 'notify', 'ops') and provolatile = 'v' and prokind = 'f'
       and prorettype <> 'trigger'::regtype`,
  )
  t.same(
    rows.map(({ name }) => name).sort(),
    [...Object.keys(BY_OPERATORS), ...Object.values(UNAUDITED).flat()].sort(),
    'each function has its place here',
  )
  for (const [name, call] of Object.entries(BY_OPERATORS)) {
    if (!call) continue
    const before = (await pool.query('select count(*)::int as rows from notify.audit')).rows[0].rows
    await pool.query(call)
    const { rows: left } = await pool.query('select actor, after from notify.audit order by id offset $1', [before])
    t.match(left, [{ actor: /^role:/, after: Object }], name)
    t.equal(left.length, 1, name)
  }
  t.same((await pool.query('select * from ops.audit_breaks')).rows, [], 'the chain holds')
})

test('the audit log accepts only new rows, and shows rows that were changed by force', async (t) => {
  const system = await setup(t, { env: { AUDIT_RETENTION_MONTHS: '3' } })
  const { pool, app } = system
  const admin = await adminOf(system)
  const hook = { url: 'https://example.org/', events: ['notification.created'] }
  await Promise.all(Array.from({ length: 8 }, () => admin.request('POST', '/webhooks', hook)))
  const breaks = async (client: { query: typeof pool.query } = pool) =>
    (await client.query<{ id: string; reason: string }>('select id, reason from ops.audit_breaks order by 1, 2')).rows
  const count = async () => Number((await pool.query('select count(*) from notify.audit')).rows[0].count)
  t.equal(await count(), 9)
  t.same(await breaks(), [])
  for (const statement of [
    `update notify.audit set actor = 'user:0'`,
    'delete from notify.audit',
    'truncate notify.audit',
  ])
    await t.rejects(pool.query(statement), { code: '55000' }, statement)
  const client = await pool.connect()
  for (const [statement, reason] of [
    [`update notify.audit set actor = 'user:0' where id = 4`, [{ id: '4', reason: 'the row was changed' }]],
    ['delete from notify.audit where id = 4', [{ id: '5', reason: 'rows before it were removed or added' }]],
    ['delete from notify.audit where id = 1', [{ id: '2', reason: 'rows before it were removed or added' }]],
    ['delete from notify.audit where id = 9', [{ id: '9', reason: 'the newest rows were removed or replaced' }]],
    [
      `update notify.audit a set actor = 'user:0', hash = notify.audit_hash((a.id, a.at, 'user:0', a.action, a.target, a.before, a.after,
         a.request_id, a.address, a.database_role, a.application, a.previous, null)::notify.audit) where id = 4`,
      [{ id: '5', reason: 'the row before it was replaced' }],
    ],
  ] as const) {
    await client.query(`begin; set local session_replication_role = 'replica'`)
    await client.query(statement)
    t.same(await breaks(client), reason, statement)
    await client.query('rollback')
  }
  client.release()

  // The chain of an installation that began in January 2024.
  await pool.query(`
    begin;
    set local session_replication_role = 'replica';
    delete from notify.audit;
    create table notify.audit_202401 (like notify.audit including all);
    alter table notify.audit attach partition notify.audit_202401 for values from ('2024-01-01 00:00Z') to ('2024-02-01 00:00Z');
    alter table notify.audit_202401 owner to ravenpost_log;
    insert into notify.audit
    select 1, '2024-01-02', 'user:1', 'webhook.test', null, null, null, null, null, 'app', 'ravenpost', first_previous, ''
    from notify.audit_chain;
    update notify.audit a set hash = notify.audit_hash(a);
    update notify.audit_chain set last_id = 1, last_hash = (select hash from notify.audit);
    commit`)
  await admin.request('POST', '/webhooks', hook)
  t.same(await breaks(), [])
  await purge(app)
  t.same(await breaks(), [], 'the chain begins behind the month that was dropped')
  t.same((await pool.query('select id, action, target from notify.audit order by id')).rows, [
    { id: '2', action: 'webhook.create', target: 'webhook:9' },
    { id: '3', action: 'audit.expire', target: 'audit_202401' },
  ])
})
