import fc, { type Arbitrary } from 'fast-check'
import type pg from 'pg'
import type { Rule } from '../../../src/social/segments/rule.ts'

const DAY = 86_400
const PEOPLE = 40

/**
 * Inserts users with all combinations of the properties that rules use. Returns their ids. Deterministic, so that
 * failures are reproducible.
 */
export async function makePeople(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `insert into social.users (username, external_id, email, password_hash, display_name, role, locale, created_at)
     select 'person_' || n, case when n % 3 = 0 then 'ext-' || n end, 'person_' || n || '@example.org', '!', 'Person ' || n,
       case when n % 7 = 0 then 'admin' else 'user' end, (array[null, 'de', 'de-AT', 'en', 'pt-BR'])[n % 5 + 1],
       now() - make_interval(days => n)
     from generate_series(1, ${PEOPLE}) n returning id`,
  )
  const ids = rows.map(({ id }) => id)
  const first = Number(ids[0])
  await pool.query(
    `insert into notify.inbox (user_id, reachable_by)
     select id, (array['{}', '{email}', '{webPush}', '{email,webPush}'])[id % 4 + 1]::text[] from unnest($1::bigint[]) id`,
    [ids],
  )
  await pool.query(
    `insert into social.sessions (user_id, created_at, last_used_at, expires_at)
     select id, now() - interval '90 days', now() - make_interval(days => (id % 30)::int), now() + interval '1 day'
     from unnest($1::bigint[]) id where id % 4 <> 0`,
    [ids],
  )
  await pool.query(
    `insert into social.follows (follower_id, followee_id)
     select a, b from unnest($1::bigint[]) a, unnest($1::bigint[]) b where a <> b and (a * 7 + b * 3) % 5 = 0`,
    [ids],
  )
  await pool.query(
    `insert into social.bells (author_id, user_id)
     select a, b from unnest($1::bigint[]) a, unnest($1::bigint[]) b where a <> b and (a * 3 + b) % 4 = 0`,
    [ids],
  )
  await pool.query('update social.users set deleted_at = now() where id = $1', [first + 5])
  return ids
}

/** What rules look at, read without any rule. Times in seconds. */
export type Facts = {
  id: string
  externalId: string | null
  role: string
  locale: string | null
  createdAt: Date
  age: number
  idle: number | null
  reachableBy: string[]
  follows: string[]
  followedBy: string[]
  subscribedTo: string[]
}

export async function facts(pool: pg.Pool): Promise<Facts[]> {
  const { rows } = await pool.query<Facts>(
    `select u.id, u.external_id as "externalId", u.role, u.locale, u.created_at as "createdAt",
       extract(epoch from now() - u.created_at)::float8 as age,
       (select extract(epoch from now() - max(s.last_used_at))::float8 from social.sessions s where s.user_id = u.id) as idle,
       i.reachable_by as "reachableBy",
       array(select followee_id::text from social.follows where follower_id = u.id) as follows,
       array(select follower_id::text from social.follows where followee_id = u.id) as "followedBy",
       array(select author_id::text from social.bells where user_id = u.id) as "subscribedTo"
     from social.users u join notify.inbox i on i.user_id = u.id where u.deleted_at is null order by u.id`,
  )
  return rows
}

/** The slow, obvious meaning of a rule. */
export function matches(rule: Rule, person: Facts): boolean {
  if ('all' in rule) return rule.all.every((each) => matches(each, person))
  if ('any' in rule) return rule.any.some((each) => matches(each, person))
  if ('not' in rule) return !matches(rule.not, person)
  if ('role' in rule) return person.role === rule.role
  if ('createdAfter' in rule) return person.createdAt > new Date(rule.createdAfter)
  if ('createdBefore' in rule) return person.createdAt < new Date(rule.createdBefore)
  if ('activeWithin' in rule) return person.idle !== null && person.idle < rule.activeWithin
  if ('inactiveFor' in rule)
    return person.age >= rule.inactiveFor && (person.idle === null || person.idle >= rule.inactiveFor)
  if ('follows' in rule) return person.follows.includes(rule.follows)
  if ('followedBy' in rule) return person.followedBy.includes(rule.followedBy)
  if ('subscribedTo' in rule) return person.subscribedTo.includes(rule.subscribedTo)
  if ('hasChannel' in rule) return rule.hasChannel === 'inApp' || person.reachableBy.includes(rule.hasChannel)
  if ('ids' in rule) return rule.ids.includes(person.id)
  if ('externalIds' in rule) return person.externalId !== null && rule.externalIds.includes(person.externalId)
  const locale = person.locale?.toLowerCase()
  const wanted = rule.locale.toLowerCase()
  return locale === wanted || (locale?.startsWith(`${wanted}-`) ?? false)
}

/** Rules over these people. Times keep half a day's distance from those of the people, so that the time of the run does not matter. */
export function rules(ids: string[]): Arbitrary<Rule> {
  const id = fc.constantFrom(...ids, '999999999')
  const days = fc.integer({ min: 0, max: PEOPLE + 5 }).map((day) => day * DAY + DAY / 2)
  const time = days.map((seconds) => new Date(Date.now() - seconds * 1000).toISOString())
  return fc.letrec<{ rule: Rule }>((tie) => ({
    rule: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.record({ role: fc.constantFrom('user', 'admin', 'reader') }),
      fc.record({ createdAfter: time }),
      fc.record({ createdBefore: time }),
      fc.record({ activeWithin: days }),
      fc.record({ inactiveFor: days }),
      fc.record({ follows: id }),
      fc.record({ followedBy: id }),
      fc.record({ subscribedTo: id }),
      fc.record({ hasChannel: fc.constantFrom('inApp' as const, 'email' as const, 'webPush' as const) }),
      fc.record({ locale: fc.constantFrom('de', 'DE-at', 'en', 'pt', 'p').filter((tag) => tag.length > 1) }),
      fc.record({ ids: fc.array(id, { minLength: 1, maxLength: 20 }) }),
      fc.record({
        externalIds: fc.array(fc.constantFrom('ext-3', 'ext-6', 'ext-9', 'other'), { minLength: 1, maxLength: 4 }),
      }),
      fc.record({ not: tie('rule') }),
      fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 4 }) }),
      fc.record({ any: fc.array(tie('rule'), { minLength: 1, maxLength: 4 }) }),
    ),
  })).rule
}
