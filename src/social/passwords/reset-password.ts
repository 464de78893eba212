import type { App } from '../../app.ts'
import { scaledLimit, writesMail } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter } from '../../http/rate-limits.ts'
import { queueAccountMail, RESETS_PASSWORD } from '../../notify/channels/email/account-mails.ts'
import { isResetToken, LIVES_MS, namedByResetToken } from '../../notify/channels/email/reset-token.ts'
import { type Catalogue, wordsIn } from '../../notify/channels/email/words.ts'
import { forgetFirstPassword, replacePassword } from './change-password.ts'
import { refuseCommonPassword } from './common-passwords.ts'
import { isHash } from './confirm-password.ts'
import { addressKey, hashOf, networkHash } from './failed-sign-ins.ts'
import { namedByLogin } from './login.ts'
import { hashPassword, shareOf } from './passwords.ts'

const DAY_SECONDS = 24 * 3600
/** As long as a link works. So an account whose mails others have used up has a link that works. */
const WINDOW_SECONDS = LIVES_MS / 1000
/** Maximum mails per account and half hour, times RATE_LIMIT_SCALE. */
export const MAILS_A_WINDOW = 3
/**
 * Maximum mails per address and day for all accounts together that have not verified it, times RATE_LIMIT_SCALE. Anyone can
 * enter any address at sign-up.
 */
const OF_ADDRESS_A_DAY = 5

type Forgotten = { login: string; ip: string }
type Forgetful = { id: string; email: string | null; verified: boolean; passwordHash: string | null }

/**
 * Queues the mail with which the owner of this login's account sets a new password. Run it after the answer, because it
 * takes longer for existing accounts.
 */
export function createForgotten(app: App): {
  count(login: string): Promise<boolean>
  run(who: Forgotten): Promise<void>
} {
  const { pool, config } = app
  const ofLogin = createSharedLimiter(app, 'forgot-login', scaledLimit(config, MAILS_A_WINDOW), WINDOW_SECONDS)
  const ofAccount = createSharedLimiter(app, 'forgot-account', scaledLimit(config, MAILS_A_WINDOW), WINDOW_SECONDS)
  const ofAddress = createSharedLimiter(app, 'forgot-address', scaledLimit(config, OF_ADDRESS_A_DAY), DAY_SECONDS)
  return {
    /** Does the same work whether or not the login exists. False after too many requests for it. */
    async count(login) {
      const { rows } = await pool.query<{ lowered: string }>('select lower($1) as lowered', [login])
      const key = hashOf(config, 'forgotten login', rows[0]?.lowered ?? login).toString('base64url')
      return (await consume(ofLogin, key)).allowed
    },
    async run({ login, ip }) {
      if (!writesMail(config)) return
      const { rows } = await pool.query<Forgetful>({
        name: 'find_forgetful',
        text: `select u.id, u.email, u.email_verified_at is not null as verified, u.password_hash as "passwordHash" ${namedByLogin}`,
        values: [login, networkHash(config, ip)],
      })
      const [user] = rows
      if (!user || !isHash(user.passwordHash) || !(await consume(ofAccount, user.id)).allowed) return
      if (!user.verified && !(await consume(ofAddress, addressKey(config, user.email ?? ''))).allowed) return
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
