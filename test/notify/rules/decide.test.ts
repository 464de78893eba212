import fc from 'fast-check'
import t from 'tap'
import type { Preferences } from '../../../src/notify/preferences/document.ts'
import { type Sounded, withOneMore } from '../../../src/notify/rules/cap.ts'
import { decide, noPreferences, type Relation, type UserPreferences } from '../../../src/notify/rules/decide.ts'
import { preferencesOf } from '../../../src/notify/rules/relations.ts'
import { channels } from '../../../src/notify/types/types.ts'
import { setup } from '../../setup.ts'

const { app, pool } = await setup(t)
const types = await app.types.current()

const friend: Relation = { self: false, blocked: false, muted: false, threadMuted: false, followed: true }

t.test('rules are applied in order, and the first that matches decides', async (t) => {
  const own = (document: Preferences) => ({ ...noPreferences, document })
  const likes = types('post.liked')
  const by = (relation: Relation, document: Preferences = {}) =>
    decide(likes, 'inApp', relation, own(document)).decidedBy
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
  t.equal(decide(likes, 'inApp', friend, own(off), true).decidedBy, 'critical')
  t.equal(by(friend, off), 'typePreference')
  t.equal(by(friend, { channels: { inApp: false } }), 'channelPreference')
  t.equal(by(friend), 'typeDefault')
  t.match(decide(likes, 'inApp', { ...friend, followed: false }, own({ policy: { strangers: 'filter' } })), {
    decision: 'suppress',
    filtered: true,
  })
})

t.test(
  'a cap counts notifications that were not silent; a digest delays all mails, and is sent even in quiet hours',
  async (t) => {
    const at = new Date('2030-01-01T12:00:00Z')
    const before = (minutes: number) => new Date(at.getTime() - minutes * 60_000).toISOString()
    const cap = (atMost: number) => ({ atMost, seconds: 3600 })
    const replies = types('comment.replied')
    const recent = [5, 20, 70].map((minutes) => ({ type: 'comment.replied', at: before(minutes) }))
    const on = (channel: (typeof channels)[number], document: Preferences, others: Partial<UserPreferences> = {}) =>
      decide(replies, channel, friend, { ...noPreferences, document, recent, at, ...others })
    const full = { types: { 'comment.replied': { cap: cap(2) } } }
    const until = new Date('2030-01-01T12:40:00Z')
    t.match(on('inApp', full), { decision: 'allow', decidedBy: 'cap', until })
    t.match(on('webPush', full), { decision: 'defer', decidedBy: 'cap', until })
    t.match(on('email', full), { decision: 'defer', decidedBy: 'cap', until })
    t.match(on('webPush', { cap: cap(2) }), { decidedBy: 'cap', until }, 'of all types together')
    t.match(on('webPush', { types: { 'comment.replied': { cap: cap(3) } } }), { decidedBy: 'typeDefault' })
    t.match(on('webPush', { types: { 'post.liked': { cap: cap(1) } } }), { decidedBy: 'typeDefault' })
    t.match(on('webPush', { cap: cap(3), types: { 'comment.replied': { cap: cap(1) } } }), {
      until: new Date('2030-01-01T12:55:00Z'),
    })
    t.match(on('inApp', full, { dndUntil: until }), { decidedBy: 'dnd' }, 'quiet hours come first')
    t.match(decide(replies, 'webPush', friend, { ...noPreferences, document: full, recent, at }, true), {
      decidedBy: 'critical',
    })
    const digest = { digest: { every: 'day' as const, at: '08:00' } }
    const digestAt = new Date('2030-01-02T08:00:00Z')
    t.match(on('email', digest, { digestAt }), { decision: 'defer', decidedBy: 'digest', until: digestAt })
    t.match(on('webPush', digest, { digestAt }), { decision: 'allow', decidedBy: 'typeDefault' })
    t.match(on('email', { ...digest, ...full }, { dndUntil: until }), { decision: 'allow', until: null }, 'it is due')
    t.match(on('email', { ...digest, channels: { email: false } }, { digestAt }), { decidedBy: 'channelPreference' })
  },
)

t.test('only notifications that a cap can still count are stored', async (t) => {
  const hour = { seconds: 3600 }
  const document = { cap: { ...hour, atMost: 2 }, types: { 'post.liked': { cap: { ...hour, atMost: 1 } } } }
  let own: UserPreferences = { ...noPreferences, document }
  for (const [i, type] of ['post.liked', 'a.b', 'a.b', 'a.b'].entries())
    own = withOneMore({ ...own, at: new Date(i * 60_000) }, type)
  const likes = { type: 'post.liked', at: new Date(0).toISOString() }
  const others = [3, 2].map((minutes) => ({ type: 'a.b', at: new Date(minutes * 60_000).toISOString() }))
  t.same(own.recent, [...others, likes])
  t.same(withOneMore({ ...own, at: new Date(3_700_000) }, 'a.b').recent.length, 2, 'an hour later')
})

t.test('a digest comes once on each of its days, also on those on which clocks change', async (t) => {
  const daily = (at: string) => ({ every: 'day', at })
  const weekly = { every: 'week', day: 7, at: '02:30' }
  for (const [digest, zone, at, ...next] of [
    [daily('08:00'), 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-29T06:00Z', '2026-03-30T06:00Z'],
    [daily('08:00'), 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-25T07:00Z', '2026-10-26T07:00Z'],
    [daily('02:30'), 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-29T01:30Z', '2026-03-30T00:30Z'],
    [daily('02:30'), 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-25T01:30Z', '2026-10-26T01:30Z'],
    [daily('00:00'), 'America/Santiago', '2026-09-05T12:00Z', '2026-09-06T04:00Z', '2026-09-07T03:00Z'],
    [daily('02:15'), 'Australia/Lord_Howe', '2026-10-03T12:00Z', '2026-10-03T15:45Z', '2026-10-04T15:15Z'],
    [weekly, 'Europe/Berlin', '2026-03-22T12:00Z', '2026-03-29T01:30Z', '2026-04-05T00:30Z'],
    [weekly, 'Europe/Berlin', '2026-10-25T01:30Z', '2026-11-01T01:30Z', '2026-11-08T01:30Z'],
  ] as const) {
    let last: string = at
    for (const expected of next) {
      const { rows } = await pool.query('select notify.digest_at($1, $2, $3) as at', [digest, zone, last])
      t.same(rows[0].at, new Date(expected), `${zone} ${digest.at} after ${last}`)
      last = expected
    }
  }
})

t.test('the explanation in SQL equals the decision in TypeScript', async (t) => {
  await pool.query(`update notify.types set dnd = 'ignore' where type = 'user.followed';
                    update notify.types set dnd = 'silent' where type = 'comment.created';
                    insert into notify.types (type, priority) values ('login.code', 'critical')`)
  const fresh = await freshTypes()
  const onOff = fc.option(fc.boolean(), { nil: undefined })
  const perChannel = fc.record({ inApp: onOff, email: onOff, webPush: onOff })
  const cap = fc.option(
    fc.record({ atMost: fc.integer({ min: 1, max: 3 }), seconds: fc.integer({ min: 60, max: 7200 }) }),
  )
  const ofType = fc.record({ inApp: onOff, email: onOff, webPush: onOff, cap }, { requiredKeys: [] })
  const names = fc.constantFrom('post.liked', 'comment.created', 'user.followed', 'login.code', 'shop.paid')
  const time = fc.tuple(fc.nat(23), fc.nat(59)).map((parts) => parts.map((n) => String(n).padStart(2, '0')).join(':'))
  const days = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 })
  const document: fc.Arbitrary<Preferences> = fc.record(
    {
      types: fc.dictionary(names, ofType),
      channels: perChannel,
      dnd: fc.record({
        enabled: fc.boolean(),
        timeZone: fc.constantFrom('Europe/Berlin', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/New_York'),
        windows: fc.array(fc.record({ days, from: time, to: time }), { maxLength: 3 }),
      }),
      snoozeUntil: fc.option(fc.integer({ min: -3, max: 3 }).map(hoursFromNow)),
      cap,
      digest: fc.option(
        fc.record({ every: fc.constantFrom('day', 'week'), day: fc.integer({ min: 1, max: 7 }), at: time }),
      ),
    },
    { requiredKeys: [] },
  )
  await pool.query('insert into notify.preferences (user_id, document) values (1, $1)', [{}])
  const sounds = fc.array(fc.record({ type: names, at: fc.integer({ min: -180, max: 0 }).map(minutesFromNow) }), {
    maxLength: 6,
  })
  const same = async (own: Preferences, name: string, channel: (typeof channels)[number], unsorted: Sounded[]) => {
    const at = new Date()
    const recent = unsorted.toSorted((one, other) => other.at.localeCompare(one.at))
    const { rows } = await pool.query(
      `with stored as (update notify.preferences set document = $1, recent = $3 where user_id = 1 returning document)
       select notify.quiet_until(document -> 'dnd', $2) as "dndUntil",
         notify.snooze_until(document ->> 'snoozeUntil', $2) as "snoozeUntil",
         notify.digest_at(document -> 'digest', 'UTC', $2) as "digestAt" from stored`,
      [own, at, JSON.stringify(recent)],
    )
    const preferences = { document: own, ...rows[0], recent, at }
    const { decision, decidedBy, reason, until } = decide(fresh(name), channel, null, preferences)
    const explained = await pool.query(
      'select decision, decided_by as "decidedBy", reason, until from notify.explain(1, $1, $2, $3)',
      [name, channel, at],
    )
    t.same(explained.rows, [{ decision, decidedBy, reason, until }])
  }
  await fc.assert(fc.asyncProperty(document, names, fc.constantFrom(...channels), sounds, same), { numRuns: 300 })
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

t.test('TypeScript and SQL ignore an invalid stored snooze, without an error', async (t) => {
  for (const [snoozeUntil, end] of stored) {
    await pool.query('update notify.preferences set document = $1 where user_id = 1', [{ snoozeUntil }])
    const own = (await preferencesOf(pool, ['1'])).get('1')
    t.equal(own?.snoozeUntil?.toISOString() ?? null, end, JSON.stringify(snoozeUntil))
    for (const channel of channels) {
      const { decision, decidedBy, reason, until } = decide(types('post.liked'), channel, null, own)
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

function minutesFromNow(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString()
}

function hoursFromNow(hours: number): string {
  return new Date(Date.now() + hours * 3_600_000).toISOString()
}
