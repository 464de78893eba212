import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { translateBusy } from '../inbox/lock.ts'
import type { Preferences } from './document.ts'

const INVALID_PARAMETER_VALUE = '22023'
/**
 * Error codes for a time that PostgreSQL cannot store: invalid_datetime_format, datetime_field_overflow,
 * invalid_time_zone_displacement_value.
 */
const NO_TIME = ['22007', '22008', '22009']

/**
 * Replaces the document. Locks the inbox, so that a concurrent batch either uses the new document or comes before it.
 * @throws {AppError} BAD_TIME_ZONE when PostgreSQL does not know the zone, VALIDATION_FAILED when it cannot store the
 * time
 */
export async function storePreferences(pool: pg.Pool, userId: string, document: Preferences): Promise<void> {
  await inTransaction(pool, async (client) => {
    await checkTimeZones(client, document)
    if (document.snoozeUntil) await checkTime(client, document.snoozeUntil)
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

/** @throws {AppError} BAD_TIME_ZONE when PostgreSQL does not know one of the document's zones */
export async function checkTimeZones(
  client: Pick<pg.ClientBase, 'query'>,
  { dnd, digest }: Preferences,
): Promise<void> {
  for (const zone of [dnd?.timeZone, digest?.timeZone]) if (zone) await checkTimeZone(client, zone)
}

/** @throws {AppError} BAD_TIME_ZONE when PostgreSQL does not know the zone */
export async function checkTimeZone(client: Pick<pg.ClientBase, 'query'>, timeZone: string): Promise<void> {
  await client.query('select now() at time zone $1', [timeZone]).catch((error) => {
    throw error.code === INVALID_PARAMETER_VALUE ? fail('BAD_TIME_ZONE', `${timeZone} is not an IANA zone`) : error
  })
}

/** Latest time that preferences may contain, counted from now. */
const TEN_YEARS_MS = 3650 * 86_400_000

/** RFC 3339 allows times that PostgreSQL or JavaScript cannot represent: year 0, offsets of a day, leap seconds. */
async function checkTime(client: pg.ClientBase, time: string): Promise<void> {
  const unfit = fail('VALIDATION_FAILED', `${time} is outside the range of supported times`, {
    pointer: '/snoozeUntil',
  })
  if (Number.isNaN(Date.parse(time))) throw unfit
  if (Date.parse(time) > Date.now() + TEN_YEARS_MS)
    throw fail('VALIDATION_FAILED', `${time} is more than ten years away`, { pointer: '/snoozeUntil' })
  await client.query('select $1::timestamptz', [time]).catch((error) => {
    throw NO_TIME.includes(error.code) ? unfit : error
  })
}
