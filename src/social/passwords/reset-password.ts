import type { App } from '../../app.ts'
import { writesMail } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter } from '../../http/rate-limits.ts'
import { queueAccountMail, RESETS_PASSWORD } from '../../notify/channels/email/account-mails.ts'
import { isResetToken, namedByResetToken } from '../../notify/channels/email/reset-token.ts'
import { type Catalogue, wordsIn } from '../../notify/channels/email/words.ts'
import { forgetFirstPassword, replacePassword } from './change-password.ts'
import { refuseCommonPassword } from './common-passwords.ts'
import { isHash } from './confirm-password.ts'
import { hashOf, networkHash } from './failed-sign-ins.ts'
import { namedByLogin } from './login.ts'
import { hashPassword, shareOf } from './passwords.ts'

const HOUR_SECONDS = 3600
/**
 * Maximum mails per account and hour, times RATE_LIMIT_SCALE. Each link works for half an hour, so requests of others cannot
 * lock out a user.
 */
export const MAILS_AN_HOUR = 5

type Forgotten = { login: string; ip: string }

/**
 * Queues the mail with which the owner of this login's account sets a new password. Run it after the answer, because it
 * takes longer for existing accounts.
 */
export function createForgotten(app: App): {
  count(login: string): Promise<boolean>
  run(who: Forgotten): Promise<void>
} {
  const { pool, config } = app
  const points = Math.max(1, Math.round(MAILS_AN_HOUR * config.rateLimitScale))
  const [ofLogin, ofAccount] = ['forgot-login', 'forgot-account'].map((name) =>
    createSharedLimiter(app, name, points, HOUR_SECONDS),
  ) as [ReturnType<typeof createSharedLimiter>, ReturnType<typeof createSharedLimiter>]
  return {
    /** Does the same work whether or not the login exists. False after too many requests for it. */
    async count(login) {
      const key = hashOf(config, 'forgotten login', login.toLowerCase()).toString('base64url')
      return (await consume(ofLogin, key)).allowed
    },
    async run({ login, ip }) {
      if (!writesMail(config)) return
      const { rows } = await pool.query<{ id: string; passwordHash: string | null }>({
        name: 'find_forgetful',
        text: `select u.id, u.password_hash as "passwordHash" ${namedByLogin}`,
        values: [login, networkHash(config, ip)],
      })
      const [user] = rows
      if (!user || !isHash(user.passwordHash) || !(await consume(ofAccount, user.id)).allowed) return
      await pool.query({ name: 'queue_reset', text: queueReset, values: [user.id, RESETS_PASSWORD] })
    },
  }
}

const queueReset = queueAccountMail('true', { critical: true })

type Reset = { token: string; password: string; ip: string }

/**
 * Sets a new password with a mail's token, and ends every session of the user.
 * @throws {AppError} BAD_TOKEN when it is forged, expired or used; PASSWORD_TOO_COMMON
 */
export async function resetPassword(app: App, { token, password, ip }: Reset): Promise<void> {
  const userId = namedByResetToken(token)
  const account = userId === undefined ? undefined : await findAccount(app, userId)
  if (userId === undefined || !account || !isResetToken(app.config, token, account)) throw fail('BAD_TOKEN')
  await refuseCommonPassword(password, account)
  const to = await hashPassword(password, shareOf(app, ip))
  const changed = await replacePassword(app, { userId, keptSession: null, from: account.passwordHash, to })
  if (!changed) throw fail('BAD_TOKEN')
  if (account.isFirst) await forgetFirstPassword(app)
}

/** The language of the page behind a mail's link: that of the account, or English while the token is not valid. */
export async function wordsOfReset(app: App, token: string): Promise<Catalogue> {
  const userId = namedByResetToken(token)
  const account = userId === undefined ? undefined : await findAccount(app, userId)
  return wordsIn(account && isResetToken(app.config, token, account) ? account.locale : null)
}

async function findAccount({ db }: App, userId: string) {
  return db
    .selectFrom('social.users')
    .select(['username', 'email', 'locale', 'passwordHash', 'passwordChangeRequired as isFirst'])
    .where('id', '=', userId)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
}
