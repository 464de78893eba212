import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { loadShown, type NotificationRow, notificationColumns, toNotification } from '../../notify/inbox/view.ts'
import { Notification } from '../../protocol/notification.ts'
import { findMe, Me } from './me.ts'

const PAGE = 200

/**
 * All stored data about a user, as one JSON object: `account` and `preferences`, then a list per kind of data, by age
 * or id. Reads page by page at the client's pace, so it holds no connection and no snapshot. It may or may not contain
 * changes made meanwhile. A truncated export is not valid JSON.
 */
export async function exportAccount(app: App, userId: string): Promise<Readable> {
  const { viewer: _, ...account } = await findMe(app, userId)
  return Readable.from(textOf(app, userId, account), { objectMode: false })
}

async function* textOf(app: App, userId: string, account: object): AsyncGenerator<string> {
  yield `{"exportedAt":${JSON.stringify(new Date())},"account":${JSON.stringify(account)}`
  yield `,"preferences":${JSON.stringify(await preferencesOf(app.pool, userId))}`
  for (const section of sections) yield* listOf(section.name, pagesOf(app.pool, section, userId))
  yield* listOf('notifications', notificationPages(app, userId))
  yield* listOf('deliveryLog', deliveryLogPages(app.pool, userId))
  yield '}\n'
}

async function* listOf(name: string, pages: AsyncIterable<object[]>): AsyncGenerator<string> {
  yield `,"${name}":[`
  let separator = ''
  for await (const page of pages) {
    if (page.length === 0) continue
    yield separator + page.map((item) => JSON.stringify(item)).join(',')
    separator = ','
  }
  yield ']'
}

/** `key` is the order of an index that begins with the owner. Each part: column, type, and a value below all others. */
type Section = { name: string; columns: string; from: string; owner: string; key: [string, string, string][] }

const id = (column: string): [string, string, string] => [column, 'bigint', '-1']
const text = (column: string): [string, string, string] => [column, 'text', '']

const sections: Section[] = [
  {
    name: 'sessions',
    columns: `t.id::text, t.user_agent as "userAgent", t.created_at as "createdAt", t.last_used_at as "lastUsedAt",
      t.expires_at as "expiresAt", t.revoked_at as "revokedAt"`,
    from: 'social.sessions t',
    owner: 't.user_id',
    key: [id('t.id')],
  },
  {
    name: 'posts',
    columns: `t.id::text, t.body, t.mentions, array(select m.id from social.media m where m.post_id = t.id order by m.position) as "mediaIds",
      t.like_count as "likeCount", t.comment_count as "commentCount", t.created_at as "createdAt", t.updated_at as "updatedAt"`,
    from: 'social.posts t',
    owner: 't.deleted_at is null and t.author_id',
    key: [id('t.id')],
  },
  {
    name: 'comments',
    columns: `t.id::text, t.post_id::text as "postId", t.parent_id::text as "parentId", t.body, t.mentions, t.created_at as "createdAt",
      t.updated_at as "updatedAt"`,
    from: 'social.comments t',
    owner: 't.deleted_at is null and t.author_id',
    key: [id('t.id')],
  },
  {
    name: 'likes',
    columns: 't.post_id::text as "postId", t.created_at as "createdAt"',
    from: 'social.likes t',
    owner: 't.user_id',
    key: [id('t.post_id')],
  },
  people('following', 'social.follows t', 't.follower_id', 't.followee_id'),
  people('followers', 'social.follows t', 't.followee_id', 't.follower_id'),
  {
    name: 'bookmarks',
    columns: 't.post_id::text as "postId", t.created_at as "createdAt"',
    from: 'social.bookmarks t',
    owner: 't.user_id',
    key: [id('t.id')],
  },
  people('blocks', 'social.blocks t', 't.user_id', 't.other_id'),
  people('mutes', 'social.mutes t', 't.user_id', 't.other_id', ', t.until'),
  {
    name: 'mutedPosts',
    columns: 't.post_id::text as "postId", t.created_at as "createdAt"',
    from: 'social.thread_mutes t',
    owner: 't.user_id',
    key: [id('t.post_id')],
  },
  people('bells', 'social.bells t', 't.user_id', 't.author_id'),
  {
    name: 'media',
    columns: `t.id, c.mime, c.size, c.width, c.height, t.alt, encode(c.sha256, 'hex') as sha256, '/media/' || t.id || '/stream' as url,
      t.post_id::text as "postId", t.created_at as "createdAt"`,
    from: 'social.media t join social.media_contents c on c.id = t.content_id',
    owner: 't.owner_id',
    key: [text('t.id')],
  },
  {
    name: 'subscriptions',
    columns: `t.id, substring(t.endpoint from '^https://([^/:]+)') as host, t.session_id::text as "sessionId",
      t.created_at as "createdAt"`,
    from: 'notify.push_subscriptions t',
    owner: 't.user_id',
    key: [text('t.id')],
  },
  {
    name: 'deliveries',
    columns: `nullif(t.notification_id, 0)::text as "notificationId", t.channel, t.target, t.state, t.reason, t.attempts,
      t.queued_at as "queuedAt", t.updated_at as "updatedAt"`,
    from: 'notify.deliveries t',
    owner: 't.user_id',
    key: [id('t.notification_id'), text('t.channel'), text('t.target')],
  },
]

function people(name: string, from: string, owner: string, other: string, more = ''): Section {
  return {
    name,
    columns: `${other}::text as "userId", u.username, t.created_at as "createdAt"${more}`,
    from: `${from} join social.users u on u.id = ${other}`,
    owner,
    key: [id(other)],
  }
}

async function* pagesOf(pool: pg.Pool, section: Section, userId: string): AsyncGenerator<object[]> {
  const { name, columns, from, owner, key } = section
  const keys = key.map(([column]) => column)
  const after = key.map(([, type], place) => `$${place + 2}::${type}`)
  const statement = `
    select ${columns}, array[${keys.map((column) => `${column}::text`)}] as key
    from ${from}
    where ${owner} = $1::bigint and (${keys}) > (${after})
    order by ${keys} limit ${PAGE}`
  let last = key.map(([, , lowest]) => lowest)
  for (;;) {
    const values = [userId, ...last]
    const { rows } = await pool.query<{ key: string[] }>({ name: `export_${name}`, text: statement, values })
    yield rows.map(({ key: _, ...item }) => item)
    const next = rows.at(-1)?.key
    if (rows.length < PAGE || !next) return
    last = next
  }
}

async function preferencesOf(pool: pg.Pool, userId: string): Promise<unknown> {
  const { rows } = await pool.query<{ document: unknown }>(
    'select document from notify.preferences where user_id = $1::bigint',
    [userId],
  )
  return rows[0]?.document ?? {}
}

/** Includes archived notifications and those filtered from the app. */
async function* notificationPages(app: App, userId: string): AsyncGenerator<object[]> {
  let last = '0'
  for (;;) {
    const { rows } = await app.pool.query<NotificationRow & { seenModseq: number; filterReason: string | null }>({
      name: 'export_notifications',
      text: `
        select i.seen_modseq::float8 as "seenModseq", n.filter_reason as "filterReason", ${notificationColumns}
        from notify.notifications n join notify.inbox i on i.user_id = n.user_id
        where n.user_id = $1::bigint and n.id > $2::bigint
        order by n.id limit ${PAGE}`,
      values: [userId, last],
    })
    const shown = await loadShown(app, rows)
    yield rows.map((row) => ({ ...toNotification(row, shown, row.seenModseq), filterReason: row.filterReason }))
    const next = rows.at(-1)?.id
    if (rows.length < PAGE || next === undefined) return
    last = next
  }
}

/** Reads partition by partition, because no index within one allows paging through a user's rows. */
async function* deliveryLogPages(pool: pg.Pool, userId: string): AsyncGenerator<object[]> {
  const { rows: days } = await pool.query<{ from: string; to: string }>(
    `select from_at::text as "from", to_at::text as "to" from notify.delivery_log_days where from_at <= now() order by from_at`,
  )
  for (const { from, to } of days) {
    const { rows } = await pool.query<object>({
      name: 'export_delivery_log',
      text: `
        select l.at, l.notification_id::text as "notificationId", l.event, l.channel, l.reason from notify.delivery_log l
        where l.recipient_id = $1::bigint and l.at >= $2::timestamptz and l.at < $3::timestamptz order by l.at`,
      values: [userId, from, to],
    })
    yield rows
  }
}

const Items = Type.Array(Type.Record(Type.String(), Type.Unknown()))

/** The schema of the export, for the API document. The actual answer is a stream. */
export const Export = Type.Unsafe<Readable>(
  Type.Object({
    exportedAt: Type.String({ format: 'date-time' }),
    account: Type.Omit(Me, ['viewer']),
    preferences: Type.Record(Type.String(), Type.Unknown(), { description: 'As in PUT /notifications/preferences' }),
    ...Object.fromEntries(sections.map(({ name }) => [name, Items])),
    notifications: Type.Array(Notification),
    deliveryLog: Items,
  }),
)
