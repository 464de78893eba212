import t from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn } from '../client.ts'
import { setup } from '../setup.ts'

const DAY = 86_400
const TEN_YEARS = 3650 * DAY
const YEAR_9999 = '9999-12-31T00:00:00Z'

/** Numbers that no duration in seconds may be. */
const noDuration = [-1, 0.5, 1e10, 1e300, Number.MAX_SAFE_INTEGER, '60', null]

t.test('no SQL function accepts an expiry in the past or more than ten years ahead', async (t) => {
  const { pool, as } = await setup(t)
  const ana = await as('ana')
  const emit = (expiry: string) =>
    pool.query(`select notify.emit('shop.order', array[$1::bigint], $2, 'x', expires_at => ${expiry})`, [
      ana.id,
      expiry,
    ])
  for (const expiry of [
    `'290000-01-01'`,
    `'20000-01-01'`,
    `'${YEAR_9999}'`,
    `now() + interval '3651 days'`,
    `'infinity'`,
    `'-infinity'`,
    'now()',
    `'4000-01-01 BC'`,
  ])
    await t.rejects(emit(expiry), { code: '22023', message: /expires_at/ }, expiry)
  for (const expiry of [`now() + interval '1 second'`, `now() + interval '3650 days'`, 'null']) await emit(expiry)

  for (const retention of ['3651 days', '178000000 years', '0', '-1 day'])
    await t.rejects(pool.query('update notify.types set retention = $1', [retention]), { code: '23514' }, retention)
  await pool.query(`update notify.types set retention = '3650 days'`)
  for (const seconds of ['-1', '86401'])
    await t.rejects(pool.query('update notify.types set window_seconds = $1', [seconds]), { code: '23514' })
  for (const share of ['-0.1', '1.1', 'NaN', 'Infinity'])
    await t.rejects(pool.query('update notify.types set jitter = $1', [share]), { code: '23514' }, share)
  await t.rejects(pool.query(`select notify.replay('notifications', now() - interval '8 days')`))
  await t.rejects(pool.query(`select notify.replay('notifications', '-infinity')`))
})

t.test('no HTTP call accepts durations or times out of range', async (t) => {
  const { url, as, pool } = await setup(t)
  const [ana] = [await as('ana'), await as('boss')]
  await grantAdmin(pool, 'boss')
  const boss = await signIn(url, 'boss')
  let key = 0
  const send = (expiresIn: unknown) =>
    boss.request(
      'POST',
      '/notifications/send',
      { recipientId: ana.id, title: 'x', message: 'y', expiresIn },
      { 'idempotency-key': `${key++}` },
    )
  const patch = (name: string) => (value: unknown) =>
    boss.request('PATCH', '/admin/notification-types/post.liked', { [name]: value })
  const mute = (seconds: unknown) => ana.request('PUT', `/users/${boss.id}/mute`, { seconds })
  const snooze = (snoozeUntil: unknown) => ana.request('PUT', '/notifications/preferences', { snoozeUntil })
  const dnd = (from: unknown, to: unknown = '07:00') =>
    ana.request('PUT', '/notifications/preferences', {
      dnd: { enabled: true, timeZone: 'UTC', windows: [{ days: [1], from, to }] },
    })
  const status = async (answer: Promise<{ status: number }>) => (await answer).status

  for (const wrong of [...noDuration, 0, TEN_YEARS + 1]) t.equal(await status(send(wrong)), 400, `expiresIn ${wrong}`)
  for (const right of [1, TEN_YEARS]) t.equal(await status(send(right)), 202)
  for (const wrong of [...noDuration, 59, TEN_YEARS + 1])
    t.equal(await status(patch('retentionSeconds')(wrong)), 400, `retentionSeconds ${wrong}`)
  for (const right of [60, TEN_YEARS]) t.equal(await status(patch('retentionSeconds')(right)), 200)
  for (const wrong of [...noDuration, DAY + 1])
    t.equal(await status(patch('windowSeconds')(wrong)), 400, `windowSeconds ${wrong}`)
  for (const right of [0, DAY]) t.equal(await status(patch('windowSeconds')(right)), 200)
  for (const wrong of [-0.1, 1.1, 1e300, '0.5', null]) t.equal(await status(patch('jitter')(wrong)), 400, `${wrong}`)
  for (const wrong of [...noDuration, 0, 366 * DAY + 1]) t.equal(await status(mute(wrong)), 400, `mute ${wrong}`)
  for (const right of [1, 366 * DAY]) t.equal(await status(mute(right)), 204)

  const inYears = (years: number) => new Date(Date.now() + years * 365 * DAY * 1000).toISOString()
  for (const wrong of [YEAR_9999, inYears(11), '290000-01-01T00:00:00Z', '+290000-01-01T00:00:00Z', 'infinity', 5])
    t.equal(await status(snooze(wrong)), 400, `snoozeUntil ${wrong}`)
  for (const right of [inYears(9), '1970-01-01T00:00:00Z', null]) t.equal(await status(snooze(right)), 200, `${right}`)
  for (const wrong of ['24:00', '7:00', '07:60', 'noon', 7, null]) {
    t.equal(await status(dnd(wrong)), 400, `from ${wrong}`)
    t.equal(await status(dnd('22:00', wrong)), 400, `to ${wrong}`)
  }
  t.equal(await status(dnd('00:00', '23:59')), 200)
})
