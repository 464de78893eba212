import fc from 'fast-check'
import t from 'tap'
import type { Preferences } from '../../../src/notify/preferences/document.ts'
import { decide, type Relation } from '../../../src/notify/rules/decide.ts'
import { preferencesOf } from '../../../src/notify/rules/relations.ts'
import { channels } from '../../../src/notify/types/types.ts'
import { setup } from '../../setup.ts'

const { app, pool } = await setup(t)
const types = await app.types.current()

const friend: Relation = { self: false, blocked: false, muted: false, threadMuted: false, followed: true }

t.test('rules are applied in order, and the first that matches decides', async (t) => {
  const said = (document: Preferences) => ({ document, dndUntil: null, snoozeUntil: null })
  const likes = types('post.liked')
  const by = (relation: Relation, document: Preferences = {}) =>
    decide(likes, 'inApp', relation, said(document)).decidedBy
  const everything = { self: true, blocked: true, muted: true, threadMuted: true, followed: false }
  const off = {
    policy: { strangers: 'drop' as const },
    channels: { inApp: false },
    types: { 'post.liked': { inApp: false } },
  }
  t.equal(by(everything, off), 'self')
  t.equal(by({ ...everything, self: false }, off), 'block')
  t.equal(by({ ...everything, self: false, blocked: false }, off), 'mute')
  t.equal(by({ ...friend, threadMuted: true, followed: false }, off), 'threadMute')
  t.equal(by({ ...friend, followed: false }, off), 'strangers')
  t.equal(decide(likes, 'inApp', friend, said(off), true).decidedBy, 'critical')
  t.equal(by(friend, off), 'typePreference')
  t.equal(by(friend, { channels: { inApp: false } }), 'channelPreference')
  t.equal(by(friend), 'typeDefault')
  t.match(decide(likes, 'inApp', { ...friend, followed: false }, said({ policy: { strangers: 'filter' } })), {
    decision: 'suppress',
    filtered: true,
  })
})

t.test('the explanation in SQL equals the decision in TypeScript', async (t) => {
  await pool.query(`update notify.types set dnd = 'ignore' where type = 'user.followed';
                    update notify.types set dnd = 'silent' where type = 'comment.created';
                    insert into notify.types (type, priority) values ('login.code', 'critical')`)
  const fresh = await freshTypes()
  const onOff = fc.option(fc.boolean(), { nil: undefined })
  const perChannel = fc.record({ inApp: onOff, email: onOff, webPush: onOff })
  const names = fc.constantFrom('post.liked', 'comment.created', 'user.followed', 'login.code', 'shop.paid')
  const time = fc.tuple(fc.nat(23), fc.nat(59)).map((parts) => parts.map((n) => String(n).padStart(2, '0')).join(':'))
  const days = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 })
  const document: fc.Arbitrary<Preferences> = fc.record(
    {
      types: fc.dictionary(names, perChannel),
      channels: perChannel,
      dnd: fc.record({
        enabled: fc.boolean(),
        timeZone: fc.constantFrom('Europe/Berlin', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/New_York'),
        windows: fc.array(fc.record({ days, from: time, to: time }), { maxLength: 3 }),
      }),
      snoozeUntil: fc.option(fc.integer({ min: -3, max: 3 }).map(hoursFromNow)),
    },
    { requiredKeys: [] },
  )
  await pool.query('insert into notify.preferences (user_id, document) values (1, $1)', [{}])
  const same = async (said: Preferences, name: string, channel: (typeof channels)[number]) => {
    const at = new Date()
    const { rows } = await pool.query(
      `with stored as (update notify.preferences set document = $1 where user_id = 1 returning document)
       select notify.quiet_until(document -> 'dnd', $2) as "dndUntil",
         notify.snooze_until(document ->> 'snoozeUntil', $2) as "snoozeUntil" from stored`,
      [said, at],
    )
    const { decision, decidedBy, reason, until } = decide(fresh(name), channel, null, { document: said, ...rows[0] })
    const explained = await pool.query(
      'select decision, decided_by as "decidedBy", reason, until from notify.explain(1, $1, $2, $3)',
      [name, channel, at],
    )
    t.same(explained.rows, [{ decision, decidedBy, reason, until }])
  }
  await fc.assert(fc.asyncProperty(document, names, fc.constantFrom(...channels), same), { numRuns: 300 })
})

/** As no route stores them, with the end of the snooze that they mean; null: none. */
const stored = [
  ['2999-01-01T00:00:00+23:59', '2998-12-31T00:01:00.000Z'],
  ['2999-01-01t00:00:00.1239-0130', '2999-01-01T01:30:00.123Z'],
  ['2999-02-30 10:00:00+02', '2999-03-02T08:00:00.000Z'],
  ['2001-01-01T00:00:00Z', null],
  ['0000-01-01T00:00:00Z', null],
  ['2999-13-01T00:00:00Z', null],
  ['2999-01-01T24:60:00Z', null],
  ['2999-01-01T00:00:00+24:00', null],
  ['tomorrow', null],
  ['infinity', null],
  ['', null],
  [4_102_444_800_000, null],
  [{ at: '2999-01-01T00:00:00Z' }, null],
  [true, null],
] as const

t.test('an invalid stored snooze is explained as it is decided, and causes no failure', async (t) => {
  for (const [snoozeUntil, end] of stored) {
    await pool.query('update notify.preferences set document = $1 where user_id = 1', [{ snoozeUntil }])
    const said = (await preferencesOf(pool, ['1'])).get('1')
    t.equal(said?.snoozeUntil?.toISOString() ?? null, end, JSON.stringify(snoozeUntil))
    for (const channel of channels) {
      const { decision, decidedBy, reason, until } = decide(types('post.liked'), channel, null, said)
      const { rows } = await pool.query(
        `select decision, decided_by as "decidedBy", reason, until from notify.explain(1, 'post.liked', $1)`,
        [channel],
      )
      t.same(rows, [{ decision, decidedBy, reason, until }])
    }
  }
})

/** The types after a change, without waiting for them to be noticed. */
async function freshTypes() {
  const { NotificationTypes } = await import('../../../src/notify/types/types.ts')
  return new NotificationTypes(pool, app.log).current()
}

function hoursFromNow(hours: number): string {
  return new Date(Date.now() + hours * 3_600_000).toISOString()
}
