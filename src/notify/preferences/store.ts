import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { translateBusy } from '../inbox/lock.ts'
import { type GivenPreferences, NO_DND, type Preferences } from './document.ts'
import { findTimeZone } from './time-zones.ts'

/**
 * Error codes for a time that PostgreSQL cannot store: invalid_datetime_format, datetime_field_overflow,
 * invalid_time_zone_displacement_value.
 */
const NO_TIME = ['22007', '22008', '22009']

/**
 * Replaces the document. Locks the inbox, so that a concurrent batch either uses the new document or comes before it.
 * @throws {AppError} BAD_TIME_ZONE, VALIDATION_FAILED when PostgreSQL cannot store the time
 */
export async function storePreferences(pool: pg.Pool, userId: string, given: GivenPreferences): Promise<void> {
  await inTransaction(pool, async (client) => {
    const document = await completed(client, given)
    if (!(await lockPreferences(client, userId))) throw fail('USER_NOT_FOUND')
    await keepDocument(client, userId, document)
  }).catch(translateBusy)
}

/** Locks the inbox and marks that its user has preferences. False without an inbox. */
export async function lockPreferences(client: pg.ClientBase, userId: string): Promise<boolean> {
  const { count } = await run(
    client,
    build.updateTable('notify.inbox').set({ hasPreferences: true }).where('userId', '=', userId),
  )
  return count === 1
}

/** Requires locked preferences. Weekly digests arrive on Mondays unless a day is set. */
export async function keepDocument(client: pg.ClientBase, userId: string, wanted: Preferences): Promise<void> {
  const document = wanted.digest?.every === 'week' ? { ...wanted, digest: { day: 1, ...wanted.digest } } : wanted
  await client.query(
    `insert into notify.preferences (user_id, document) values ($1, $2)
     on conflict (user_id) do update set document = excluded.document, updated_at = now()`,
    [userId, document],
  )
}

/**
 * The document with the names of its zones as PostgreSQL has them, its time in UTC with milliseconds, and complete quiet hours.
 * @throws {AppError} BAD_TIME_ZONE, VALIDATION_FAILED
 */
export async function completed(
  client: Queryable,
  { dnd, digest, snoozeUntil, ...others }: GivenPreferences,
): Promise<Preferences> {
  const document: Preferences = { ...others }
  if (dnd) document.dnd = { ...NO_DND, ...dnd, timeZone: await findTimeZone(client, dnd.timeZone ?? NO_DND.timeZone) }
  if (digest !== undefined) document.digest = digest
  if (digest?.timeZone) document.digest = { ...digest, timeZone: await findTimeZone(client, digest.timeZone) }
  if (snoozeUntil !== undefined) document.snoozeUntil = snoozeUntil && (await checkTime(client, snoozeUntil))
  return document
}

/** Latest time that preferences may contain, counted from now. */
const TEN_YEARS_MS = 3650 * 86_400_000

/** RFC 3339 allows times that PostgreSQL or JavaScript cannot represent: year 0, offsets of a day, leap seconds. */
async function checkTime(client: Queryable, time: string): Promise<string> {
  const unfit = fail('VALIDATION_FAILED', `${time} is outside the range of supported times`, {
    pointer: '/snoozeUntil',
  })
  if (Number.isNaN(Date.parse(time))) throw unfit
  if (Date.parse(time) > Date.now() + TEN_YEARS_MS)
    throw fail('VALIDATION_FAILED', `${time} is more than ten years away`, { pointer: '/snoozeUntil' })
  await client.query('select $1::timestamptz', [time]).catch((error) => {
    throw NO_TIME.includes(error.code) ? unfit : error
  })
  return new Date(time).toISOString()
}
