import type pg from 'pg'
import type { App } from '../../app.ts'
import { violates } from '../../base/failure.ts'
import { writesMail } from '../../config.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { emailChanging, queueAccountMail } from '../../notify/channels/email/account-mails.ts'
import { findTimeZone } from '../../notify/preferences/time-zones.ts'
import { type Confirmation, confirmPassword } from '../passwords/confirm-password.ts'
import { isAddressTaken, isReserved } from './sign-up.ts'

export type AccountChange = { email?: string; username?: string; locale?: string | null; timeZone?: string | null }

/** Limits of changes per user. Beyond them, each function throws RATE_LIMITED. The result takes the count back. */
type Limit = (userId: string) => Promise<() => Promise<unknown>>
type Limits = { addresses: Limit; names: Limit }

/**
 * Changes the account. A new address takes effect once it is verified, and a mail informs the old one if it was verified. The
 * old username stays reserved.
 * @returns the address to verify
 * @throws {AppError} WRONG_PASSWORD for an address, EMAIL_TAKEN, USERNAME_TAKEN, BAD_TIME_ZONE, VALIDATION_FAILED,
 * RATE_LIMITED
 */
export async function editAccount(
  app: App,
  userId: string,
  change: AccountChange,
  { limits, ...confirmation }: Confirmation & { limits: Limits },
): Promise<string | undefined> {
  const locale = change.locale && canonicalLocale(change.locale)
  const account = change.email === undefined ? undefined : await confirmPassword(app, userId, confirmation)
  const isNew = change.email !== undefined && change.email !== account?.email
  if (isNew) await limits.addresses(userId)
  if (isNew && change.email && (await isAddressTaken(app, change.email, userId))) throw fail('EMAIL_TAKEN')
  const renames = change.username !== undefined && (await usernameOf(app, userId)) !== change.username
  const keepName = renames ? await limits.names(userId) : undefined
  await inTransaction(app.pool, async (client) => {
    const timeZone = change.timeZone && (await findTimeZone(client, change.timeZone))
    if (renames && change.username !== undefined) await rename(client, userId, change.username)
    const { rowCount } = await client.query(
      `update social.users set locale = case when $2 then $3 else locale end, time_zone = case when $4 then $5 else time_zone end,
         new_email = case when $6 then $7 else new_email end
       where id = $1::bigint and deleted_at is null and ($8::text is null or password_hash = $8)`,
      [
        userId,
        change.locale !== undefined,
        locale ?? null,
        change.timeZone !== undefined,
        timeZone ?? null,
        account !== undefined,
        isNew ? change.email : null,
        account?.passwordHash ?? null,
      ],
    )
    if (rowCount === 0 && account) throw fail('WRONG_PASSWORD', 'The password has changed in the meantime')
    if (isNew && account?.email && writesMail(app.config))
      await client.query(notifyFormerAddress, [userId, emailChanging(account.email)])
  }).catch(async (error: unknown) => {
    await keepName?.()
    throw error
  })
  return isNew ? change.email : undefined
}

const notifyFormerAddress = queueAccountMail('u.email_verified_at is not null', { critical: true })

async function usernameOf({ db }: App, userId: string): Promise<string | undefined> {
  const account = await db.selectFrom('social.users').select('username').where('id', '=', userId).executeTakeFirst()
  return account?.username
}

/** @throws {AppError} VALIDATION_FAILED */
export function canonicalLocale(tag: string): string {
  try {
    return new Intl.Locale(tag).toString()
  } catch (cause) {
    throw fail('VALIDATION_FAILED', `${tag} is not a language tag like pt-BR`, { pointer: '/locale', cause })
  }
}

/** @throws {AppError} USERNAME_TAKEN */
async function rename(client: pg.ClientBase, userId: string, username: string): Promise<void> {
  if (isReserved(username)) throw fail('USERNAME_TAKEN')
  try {
    const { rowCount } = await client.query(takeName, [userId, username])
    if (rowCount === 0) throw fail('USERNAME_TAKEN')
  } catch (error) {
    throw violates(error, 'username_taken') ? fail('USERNAME_TAKEN', undefined, { cause: error }) : error
  }
}

/** A name that looks like the user's current one already belongs to the user. */
const takeName = `
  with mine as (
    select id, social.name_look(username) as look from social.users where id = $1::bigint and deleted_at is null for update
  ), taken as (
    insert into social.taken_names (look) select social.name_look($2) from mine where mine.look <> social.name_look($2)
    on conflict do nothing returning look
  )
  update social.users u set username = $2 from mine
  where u.id = mine.id and (mine.look = social.name_look($2) or exists (select from taken))`
