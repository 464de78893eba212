import type pg from 'pg'
import type { Config } from '../../../config.ts'
import { inTransaction } from '../../../db/transaction.ts'
import { fail } from '../../../errors.ts'
import { translateBusy } from '../../inbox/lock.ts'
import type { Preferences } from '../../preferences/document.ts'
import { keepDocument, lockPreferences } from '../../preferences/store.ts'
import { contentOf, isSigned, signToken } from '../signed-token.ts'

/** Every mail contains this token. It never expires, because links in old mails must work too. */
export function unsubscribeToken(config: Pick<Config, 'jwtSecret'>, userId: string): string {
  return signToken(config, 'unsubscribe', userId)
}

/**
 * Returns the user of a token.
 * @throws {AppError} BAD_TOKEN
 */
export function checkUnsubscribeToken(config: Config, token: string): string {
  const userId = contentOf(token)
  if (!/^\d{1,18}$/.test(userId) || !isSigned(config, 'unsubscribe', token)) throw fail('BAD_TOKEN')
  return userId
}

/**
 * Stops all mails, regardless of preferences for single types. Critical mails are still sent.
 * @throws {AppError} BAD_TOKEN when the user no longer exists
 */
export async function stopMails(pool: pg.Pool, userId: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    if (!(await lockPreferences(client, userId))) throw fail('BAD_TOKEN')
    const { rows } = await client.query<{ document: Preferences }>(
      'select document from notify.preferences where user_id = $1',
      [userId],
    )
    await keepDocument(client, userId, withoutMails(rows[0]?.document ?? {}))
  }).catch(translateBusy)
}

function withoutMails(document: Preferences): Preferences {
  const types = Object.entries(document.types ?? {}).map(([type, { email: _, ...others }]) => [type, others] as const)
  return { ...document, types: Object.fromEntries(types), channels: { ...document.channels, email: false } }
}
