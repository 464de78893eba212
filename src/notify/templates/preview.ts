import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { Notification } from '../../protocol/notification.ts'
import { textOrNull, timeOrNull } from '../../protocol/nullable.ts'
import { digest } from '../channels/email/mail.ts'
import { publicUrlOf } from '../channels/senders.ts'
import { shownBy } from '../channels/web-push/web-push.ts'
import { decide } from '../rules/decide.ts'
import { preferencesOf } from '../rules/relations.ts'
import { type Channel, channels, type NotificationType } from '../types/types.ts'
import { type Messages, renderMessages, type Values, wordsFor } from './message.ts'

const text = Type.String()

export const Preview = Type.Object({
  locale: textOrNull('Null: the default language'),
  inApp: Notification,
  email: Type.Object({ subject: text, text, html: text }),
  push: Type.Object({
    id: text,
    state: text,
    unreadCount: Type.Integer(),
    tag: text,
    close: Type.Array(text),
    type: text,
    priority: text,
    title: text,
    body: textOrNull(),
    url: textOrNull(),
    silent: Type.Boolean(),
  }),
  decisions: Type.Array(
    Type.Object({
      channel: Type.Unsafe<Channel>({ type: 'string', enum: [...channels] }),
      decision: Type.Unsafe<'allow' | 'suppress' | 'defer'>({ type: 'string', enum: ['allow', 'suppress', 'defer'] }),
      decidedBy: text,
      reason: text,
      until: timeOrNull(),
      reachable: Type.Boolean({ description: 'Whether the channel reaches the user: a verified address, a browser' }),
    }),
    { description: 'Of the user; without one, those for somebody without preferences who can be reached everywhere' },
  ),
})

type Recipient = { locale: string | null; reachableBy: Channel[]; unreadCount: number; modseq: number; epoch: string }

/**
 * Renders a template as a user would see it now. Writes nothing.
 * @throws {AppError} USER_NOT_FOUND, VALIDATION_FAILED for the variables
 */
export async function previewTemplate(
  { pool, config }: { pool: pg.Pool; config: Config },
  template: Messages & { type: string },
  type: NotificationType,
  { variables, userId, locale }: { variables: Values; userId?: string | undefined; locale?: string | undefined },
): Promise<Static<typeof Preview>> {
  const words = renderMessages(template, variables)
  const recipient = userId === undefined ? nobody : await findRecipient(pool, userId)
  const ownPreferences = userId === undefined ? undefined : (await preferencesOf(pool, [userId])).get(userId)
  const decisions = channels.map((channel) => ({
    ...decide(type, channel, null, ownPreferences),
    channel,
    reachable: channel === 'inApp' || recipient.reachableBy.includes(channel),
  }))
  const [inApp] = decisions
  const shownLocale = locale ?? recipient.locale
  const silent = inApp?.decision === 'allow' && inApp.until !== null
  const notification = asNotification(template.type, type, { ...wordsFor(words, shownLocale), url: words.url }, silent)
  const publicUrl = publicUrlOf(config)
  return {
    locale: shownLocale,
    inApp: notification,
    email: digest([notification], publicUrl, `${publicUrl}/unsubscribe/preview`, shownLocale),
    push: shownBy(notification, { ...recipient, close: [] }),
    decisions: decisions.map(({ channel, decision, decidedBy, reason, until, reachable }) => {
      return { channel, decision, decidedBy, reason, until: until ? until.toISOString() : null, reachable }
    }),
  }
}

const nobody: Recipient = { locale: null, reachableBy: ['email', 'webPush'], unreadCount: 1, modseq: 1, epoch: '1' }

async function findRecipient(pool: pg.Pool, userId: string): Promise<Recipient> {
  const { rows } = await pool.query<Recipient>(
    `select u.locale, i.reachable_by as "reachableBy", i.unread_count + 1 as "unreadCount", (i.modseq + 1)::float8 as modseq,
       (select epoch from notify.installation) as epoch
     from social.users u join notify.inbox i on i.user_id = u.id where u.id = $1 and u.deleted_at is null`,
    [userId],
  )
  if (!rows[0]) throw fail('USER_NOT_FOUND')
  return rows[0]
}

type Shown = { title: string; body: string | null; url: string | null }

function asNotification(name: string, type: NotificationType, words: Shown, silent: boolean): Notification {
  const now = new Date()
  const at = now.toISOString()
  const { title, body } = words
  return {
    ...{
      id: '1',
      type: name,
      priority: type.priority,
      severity: type.severity,
      ...words,
      data: {},
      actors: [],
      actorCount: 0,
    },
    ...{ object: null, groupKey: null, fallback: body ? `${title}: ${body}` : title, createdAt: at, updatedAt: at },
    ...{ deliveredAt: null, readAt: null, archivedAt: null, seen: false, silent },
    expiresAt: new Date(now.getTime() + 1000 * type.retentionSeconds).toISOString(),
  }
}
