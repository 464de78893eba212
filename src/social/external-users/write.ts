import { randomInt } from 'node:crypto'
import type pg from 'pg'
import { violates } from '../../base/failure.ts'
import { columns } from '../../db/columns.ts'
import { inTransaction } from '../../db/transaction.ts'
import { AppError, fail } from '../../errors.ts'
import { refreshReachability } from '../../notify/channels/reachability.ts'
import { lockInboxes } from '../../notify/dispatch/objects.ts'
import { translateBusy } from '../../notify/inbox/lock.ts'
import { findTimeZone } from '../../notify/preferences/time-zones.ts'
import { canonicalLocale } from '../accounts/edit-account.ts'
import { isReserved } from '../accounts/sign-up.ts'
import { cleanDisplayName } from '../users/names.ts'
import type { ExternalUser } from './fields.ts'

/**
 * Creates or changes users of another application, each with its inbox, all or none. `then` runs at the end of the
 * transaction. Returns the ids of the created users.
 * @throws {AppError} VALIDATION_FAILED, BAD_TIME_ZONE; USERNAME_TAKEN and EMAIL_TAKEN with the name or address;
 * INBOX_BUSY
 */
export async function writeExternalUsers(
  pool: pg.Pool,
  users: ExternalUser[],
  then?: (trx: pg.ClientBase, made: string[]) => Promise<void>,
): Promise<string[]> {
  const clean = users.map((user, index) => cleaned(user, users.length > 1 ? `/users/${index}` : ''))
  refuseRepeated(clean)
  const write = () =>
    inTransaction(pool, async (client) => {
      const made = await writeAll(client, clean)
      await then?.(client, made)
      return made
    }).catch(translateBusy)
  // Another request may have created one of them meanwhile. The second try updates it.
  return write()
    .catch((error) => (violates(error, 'external_id_taken') ? write() : Promise.reject(error)))
    .catch(translateTaken)
}

async function writeAll(client: pg.ClientBase, given: ExternalUser[]): Promise<string[]> {
  const users: ExternalUser[] = []
  for (const user of given)
    users.push(user.timeZone ? { ...user, timeZone: await findTimeZone(client, user.timeZone) } : user)
  const known = await lockKnown(client, users)
  const isKnown = ({ externalId }: ExternalUser) => known.has(externalId)
  const fresh = users
    .filter((user) => !isKnown(user))
    .map((user) => ({ ...user, username: user.username ?? madeUpName() }))
  const made = await insert(client, fresh)
  const existing = users.filter(isKnown)
  await rename(client, existing, known)
  await update(client, existing)
  return made
}

type Known = Map<string, { id: string; username: string }>

/** Locks by id, as all code that locks several users does. */
async function lockKnown(client: pg.ClientBase, users: ExternalUser[]): Promise<Known> {
  const { rows } = await client.query<{ externalId: string; id: string; username: string }>(
    `select external_id as "externalId", id, username from social.users
     where external_id = any($1::text[]) order by id for no key update`,
    [users.map(({ externalId }) => externalId)],
  )
  return new Map(rows.map(({ externalId, ...user }) => [externalId, user]))
}

async function insert(client: pg.ClientBase, users: (ExternalUser & { username: string })[]): Promise<string[]> {
  if (users.length === 0) return []
  refuseReserved(users)
  const { rows } = await client.query<{ id: string; username: string }>(insertUsers, created.values(users))
  refuseMissing(
    users.map(({ username }) => username),
    rows,
  )
  return rows.map(({ id }) => id)
}

const created = columns<ExternalUser & { username: string }>({
  external_id: ['text', (user) => user.externalId],
  username: ['text', (user) => user.username],
  display_name: ['text', (user) => user.displayName ?? user.username],
  email: ['text', (user) => user.email ?? null],
  verified: ['boolean', (user) => (user.emailVerified ?? false) && user.email != null],
  avatar_url: ['text', (user) => user.avatarUrl ?? null],
  locale: ['text', (user) => user.locale ?? null],
  time_zone: ['text', (user) => user.timeZone ?? null],
})

/** If several new usernames look alike, inserts only one of these users. The result does not contain the others. */
const insertUsers = `
  with w as (
    select distinct on (social.name_look(username)) *, social.name_look(username) as look
    from ${created.from}
    order by social.name_look(username)
  ), n as (
    insert into social.taken_names (look) select look from w on conflict do nothing returning look
  ), u as (
    insert into social.users (
      external_id,
      username,
      display_name,
      email,
      email_verified_at,
      password_hash,
      avatar_url,
      locale,
      time_zone
    )
    select
      w.external_id,
      w.username,
      w.display_name,
      w.email,
      case when w.verified then now() end,
      '!',
      w.avatar_url,
      w.locale,
      w.time_zone
    from w join n on n.look = w.look
    order by w.external_id
    returning id, username, email_verified_at
  ), i as (
    insert into notify.inbox (user_id, reachable_by)
    select id, case when email_verified_at is null then '{}' else '{email}'::text[] end from u
  )
  select id, username from u`

async function rename(client: pg.ClientBase, users: ExternalUser[], known: Known): Promise<void> {
  const renamed = users.flatMap(({ externalId, username }) => {
    const user = known.get(externalId)
    return user && username !== undefined && username !== user.username ? [{ id: user.id, username }] : []
  })
  if (renamed.length === 0) return
  refuseReserved(renamed)
  const { rows } = await client.query<{ username: string }>(renameUsers, newNames.values(renamed))
  refuseMissing(
    renamed.map(({ username }) => username),
    rows,
  )
}

const newNames = columns<{ id: string; username: string }>({
  id: ['bigint', ({ id }) => id],
  username: ['text', ({ username }) => username],
})

/**
 * A name is reserved by its look, the form that `social.name_look` gives to all names that look alike. A new name with
 * the look of the user's former name needs no reservation.
 */
const renameUsers = `
  with w as (
    select distinct on (social.name_look(w.username))
      w.id, w.username, social.name_look(w.username) as look, social.name_look(u.username) as former
    from ${newNames.from} join social.users u on u.id = w.id
    order by social.name_look(w.username)
  ), n as (
    insert into social.taken_names (look) select look from w where look <> former on conflict do nothing returning look
  )
  update social.users u set username = w.username
  from w where u.id = w.id and (w.look = w.former or exists (select from n where n.look = w.look))
  returning u.username`

/** Writes only differences, because an application may send all its users every night. */
async function update(client: pg.ClientBase, users: ExternalUser[]): Promise<void> {
  if (users.length === 0) return
  const { rows } = await client.query<{ id: string; mailChanged: boolean }>(updateUsers, given.values(users))
  const reached = rows.filter(({ mailChanged }) => mailChanged).map(({ id }) => id)
  if (reached.length === 0) return
  await lockInboxes(client, reached, false)
  await refreshReachability(client, reached)
}

const given = columns<ExternalUser>({
  external_id: ['text', (user) => user.externalId],
  display_name: ['text', (user) => user.displayName ?? null],
  has_email: ['boolean', (user) => user.email !== undefined],
  email: ['text', (user) => user.email ?? null],
  verified: ['boolean', (user) => user.emailVerified ?? null],
  has_avatar: ['boolean', (user) => user.avatarUrl !== undefined],
  avatar_url: ['text', (user) => user.avatarUrl ?? null],
  has_locale: ['boolean', (user) => user.locale !== undefined],
  locale: ['text', (user) => user.locale ?? null],
  has_time_zone: ['boolean', (user) => user.timeZone !== undefined],
  time_zone: ['text', (user) => user.timeZone ?? null],
})

const updateUsers = `
  with w as (
    select
      u.id,
      coalesce(w.display_name, u.display_name) as display_name,
      e.email,
      case
        when e.email is null or not coalesce(w.verified, e.email is not distinct from u.email) then null
        when w.verified then case when e.email = u.email then coalesce(u.email_verified_at, now()) else now() end
        else u.email_verified_at
      end as email_verified_at,
      case when e.email is not distinct from u.email then u.new_email end as new_email,
      case when w.has_avatar then w.avatar_url else u.avatar_url end as avatar_url,
      case when w.has_locale then w.locale else u.locale end as locale,
      case when w.has_time_zone then w.time_zone else u.time_zone end as time_zone,
      u.email_verified_at as former
    from ${given.from}
    join social.users u on u.external_id = w.external_id
    cross join lateral (select case when w.has_email then w.email else u.email end as email) e
  )
  update social.users u
  set display_name = w.display_name,
      email = w.email,
      email_verified_at = w.email_verified_at,
      new_email = w.new_email,
      avatar_url = w.avatar_url,
      locale = w.locale,
      time_zone = w.time_zone
  from w
  where u.id = w.id
    and (u.display_name, u.email, u.email_verified_at, u.new_email, u.avatar_url, u.locale, u.time_zone)
      is distinct from (w.display_name, w.email, w.email_verified_at, w.new_email, w.avatar_url, w.locale, w.time_zone)
  returning u.id, (w.former is null) <> (w.email_verified_at is null) as "mailChanged"`

/** @throws {AppError} VALIDATION_FAILED, with a pointer below `at` */
function cleaned(user: ExternalUser, at: string): ExternalUser {
  try {
    return {
      ...user,
      ...(user.displayName !== undefined && { displayName: cleanDisplayName(user.displayName) }),
      ...(user.locale && { locale: canonicalLocale(user.locale) }),
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw fail(error.code, error.detail, { pointer: at + error.pointer, cause: error })
  }
}

function refuseRepeated(users: ExternalUser[]): void {
  const seen = new Set<string>()
  for (const [index, { externalId }] of users.entries()) {
    if (seen.has(externalId))
      throw fail('VALIDATION_FAILED', `${externalId} is named twice`, { pointer: `/users/${index}/externalId` })
    seen.add(externalId)
  }
}

function refuseReserved(users: { username: string }[]): void {
  for (const { username } of users) if (isReserved(username)) throw nameTaken(username)
}

function refuseMissing(wanted: string[], written: { username: string }[]): void {
  const names = new Set(written.map(({ username }) => username))
  for (const name of wanted) if (!names.has(name)) throw nameTaken(name)
}

const nameTaken = (username: string) => fail('USERNAME_TAKEN', `The username ${username} is taken`)

/** The detail of a unique_violation contains the value: `Key (lower(email))=(ana@example.org) already exists.` */
function translateTaken(error: unknown): never {
  const [, value] = (error instanceof Error && 'detail' in error && /=\((.*)\)/.exec(String(error.detail))) || []
  if (violates(error, 'email_taken'))
    throw fail('EMAIL_TAKEN', `The address ${value} belongs to another user`, { cause: error })
  if (violates(error, 'username_taken'))
    throw fail('USERNAME_TAKEN', `The username ${value} is taken`, { cause: error })
  throw error
}

const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789'

/** A name for a user without one. 60 random bits make it unique. */
function madeUpName(): string {
  return `user_${Array.from({ length: 12 }, () => LETTERS[randomInt(LETTERS.length)]).join('')}`
}
