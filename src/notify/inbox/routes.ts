import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Changes, parseState, State } from '../../protocol/changes.ts'
import { Id } from '../../protocol/id.ts'
import { Actor, Notification, Priority } from '../../protocol/notification.ts'
import { acknowledge } from './acknowledge.ts'
import { changesSince, toChanges } from './changes.ts'
import { getNotification, listNotifications, readCounts, recount, toCounts } from './list.ts'
import { listActors } from './list-actors.ts'
import type { InboxResult } from './lock.ts'
import { archive, markRead, markSeen, markUnread, remove, resolveUpTo, unarchive, type Which } from './mark.ts'
import { readStats, Stats } from './stats.ts'
import { readWhy, Why } from './why.ts'

const tags = ['notifications']

/** Maximum number of ids, so that the transaction stays short. */
const MAX_IDS = 500

const OneId = Type.Object({ id: Id })
const unreadCount = Type.Integer({ description: 'Goes down by reading. Without archived, filtered and expired ones' })
const unseenCount = Type.Integer({ description: 'Goes down by opening the bell, too; for the badge' })
const counts = { unreadCount, unseenCount, state: State }
const Counts = Type.Object(counts)
const Changed = Type.Object({ notification: Notification, ...counts })
const Updated = Type.Object({ updated: Type.Integer({ description: 'Notifications that changed' }), ...counts })
const Page = pageOf(Notification)
const CountedPage = Type.Object({ ...Page.properties, ...counts })

const VerifiedCounts = Type.Object({
  ...counts,
  recounted: Type.Optional(
    Type.Object(
      { unreadCount: Type.Integer(), unseenCount: Type.Integer() },
      { description: 'With verify=true: counted now, in the snapshot of the stored counts' },
    ),
  ),
})
const CountsQuery = Type.Object(
  { verify: Type.Optional(Type.Boolean({ default: false, description: 'Counts the notifications, too' })) },
  { additionalProperties: false },
)

const ListQuery = Type.Object(
  {
    filter: Type.Optional(
      Type.Unsafe<'all' | 'unread' | 'archived' | 'filtered'>({
        type: 'string',
        enum: ['all', 'unread', 'archived', 'filtered'],
        default: 'all',
        description: 'all: without archived ones; filtered: from strangers, by the policy',
      }),
    ),
    type: Type.Optional(
      Type.Array(Type.String({ pattern: '^[\\w.:-]{1,100}$' }), {
        maxItems: 20,
        description: 'Repeat it for several types',
      }),
    ),
    priority: Type.Optional(Priority),
    ...PageQuery.properties,
  },
  { additionalProperties: false },
)

const ChangesQuery = Type.Object(
  { since: State, limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })) },
  { additionalProperties: false },
)

/** Requires exactly one of `ids` and `upTo`. */
const Bulk = Type.Object(
  {
    ids: Type.Optional(Type.Array(Id, { maxItems: MAX_IDS })),
    upTo: Type.Optional(Type.String({ ...State, description: 'All whose content last grew at or before this state' })),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1 },
)

const AckBody = Type.Object({ state: State }, { additionalProperties: false })
const SeenBody = Type.Object({ upTo: State }, { additionalProperties: false })
const MarkAllBody = Type.Object({ upTo: Type.Optional(State) }, { additionalProperties: false })

/** Routes of a user's own inbox. */
export function notificationRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    await server.register(reading(app))
    await server.register(changingOne(app))
    await server.register(changingMany(app))
  }
}

function reading(app: App): FastifyPluginAsyncTypebox {
  const { pool } = app
  return async (server) => {
    server.get(
      '/notifications',
      {
        schema: {
          tags,
          summary: 'List my notifications, newest first, with counts and state',
          description:
            'Newest `updatedAt` first; reading does not move an item. Items, counts and state are of one snapshot: continue from `state` with changes or the socket.',
          answers: { 200: 'A page of notifications, the counts and the state' },
          querystring: ListQuery,
          response: { 200: CountedPage },
        },
      },
      (request) => listNotifications(app, request.user.userId, { filter: 'all', limit: 20, ...request.query }),
    )

    server.get(
      '/notifications/pending',
      {
        schema: {
          tags,
          summary: 'List my notifications that were not delivered yet',
          description: 'Notifications that no device has acknowledged.',
          answers: { 200: 'A page of notifications' },
          querystring: PageQuery,
          response: { 200: Page },
        },
      },
      (request) => listNotifications(app, request.user.userId, { limit: 20, ...request.query, filter: 'pending' }),
    )

    server.get(
      '/notifications/history',
      {
        schema: {
          tags,
          summary: 'List all my notifications, including archived ones',
          description: 'Read, unread and archived ones; not filtered ones.',
          answers: { 200: 'A page of notifications' },
          querystring: PageQuery,
          response: { 200: Page },
        },
      },
      (request) => listNotifications(app, request.user.userId, { limit: 20, ...request.query, filter: 'history' }),
    )

    server.get(
      '/notifications/unread-count',
      {
        schema: {
          tags,
          summary: 'Get my unread and unseen counts',
          description:
            '`unreadCount` goes down by reading, `unseenCount` also by opening the bell. Both leave out what is archived, filtered or expired.',
          answers: { 200: 'The counts and their state' },
          querystring: CountsQuery,
          response: { 200: VerifiedCounts },
        },
      },
      ({ user, query }) => (query.verify ? recount(pool, user.userId) : readCounts(pool, user.userId)),
    )

    server.get(
      '/notifications/stats',
      {
        schema: {
          tags,
          summary: 'Count my notifications by type, priority and state',
          description: 'For a page with tabs: counts by type, unread counts by type, by priority and by state.',
          answers: { 200: 'The counts' },
          response: { 200: Stats },
        },
      },
      (request) => readStats(pool, request.user.userId),
    )

    server.get(
      '/notifications/changes',
      {
        schema: {
          tags,
          summary: 'List the changes of my inbox since a state',
          description:
            'For clients without a socket: poll it with the last state. Each changed notification comes once, as it is now. Repeat while `more` is true.',
          answers: { 200: 'The changes' },
          errors: ['BAD_STATE', 'STATE_TOO_OLD'],
          querystring: ChangesQuery,
          response: { 200: Changes },
        },
      },
      (request) => resume(app, request.user.userId, { limit: 100, ...request.query }),
    )

    server.get(
      '/notifications/:id',
      {
        schema: {
          tags,
          summary: 'Get a notification',
          description: 'Also archived ones; 404 for those of other users.',
          answers: { 200: 'The notification' },
          errors: ['NOTIFICATION_NOT_FOUND'],
          params: OneId,
          response: { 200: Notification },
        },
      },
      (request) => getNotification(app, request.user.userId, request.params.id),
    )

    server.get(
      '/notifications/:id/actors',
      {
        schema: {
          tags,
          summary: 'List the actors of a notification, latest first',
          description:
            'Everybody behind a group, of whom `actors` shows three. Leaves out users who block or are blocked.',
          answers: { 200: 'A page of users' },
          errors: ['NOTIFICATION_NOT_FOUND'],
          params: OneId,
          querystring: PageQuery,
          response: { 200: pageOf(Actor) },
        },
      },
      ({ params, query: { limit = 20, cursor }, user }) => listActors(pool, user.userId, params.id, { limit, cursor }),
    )

    server.get(
      '/notifications/:id/why',
      {
        schema: {
          tags,
          summary: 'Explain the decisions about a notification',
          description:
            'Which rule, preference or policy decided for each channel, and what became of mails and pushes.',
          answers: { 200: 'The decisions and deliveries' },
          errors: ['NOTIFICATION_NOT_FOUND'],
          params: OneId,
          response: { 200: Why },
        },
      },
      async ({ user: { userId }, params: { id } }) => {
        await getNotification(app, userId, id)
        return readWhy(pool, userId, id)
      },
    )
  }
}

/**
 * Reads the changes after `since`.
 * @throws {AppError} STATE_TOO_OLD the client must fetch its list again
 */
async function resume(app: App, userId: string, query: { since: string; limit: number }): Promise<Changes> {
  const since = parseState(query.since)
  if (!since) throw fail('BAD_STATE')
  const changes = (await changesSince(app, [{ userId, since: since.modseq, limit: query.limit }])).get(userId)
  if (!changes) throw fail('USER_NOT_FOUND')
  if (since.epoch !== changes.epoch || since.modseq > changes.modseq || since.modseq < changes.floor)
    throw fail('STATE_TOO_OLD', 'Fetch the list again and continue from its state')
  return toChanges(changes)
}

type Change = (app: App, userId: string, which: Which) => Promise<InboxResult>

function changingOne(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    const change = (method: 'PATCH' | 'POST', verb: string, summary: string, description: string, apply: Change) =>
      server.route({
        method,
        url: `/notifications/:id/${verb}`,
        schema: {
          tags,
          summary,
          description,
          answers: { 200: 'The notification and the new counts' },
          errors: ['NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
          params: OneId,
          response: { 200: Changed },
        },
        handler: async (request) => {
          const { userId } = request.user
          const result = await apply(app, userId, { ids: [request.params.id] })
          return { notification: await getNotification(app, userId, request.params.id), ...toCounts(result) }
        },
      })
    change(
      'PATCH',
      'read',
      'Mark a notification as read',
      'Idempotent. It counts as seen and delivered, too, and its group is closed: later events start a new notification.',
      markRead,
    )
    change('POST', 'read', 'Mark a notification as read, for clients without PATCH', 'The same as `PATCH`.', markRead)
    change('PATCH', 'unread', 'Mark a notification as unread', 'Idempotent.', markUnread)
    change(
      'PATCH',
      'archive',
      'Archive a notification',
      'Idempotent. It leaves the list and the counts, and later events of its group start a new notification.',
      archive,
    )
    change('PATCH', 'unarchive', 'Unarchive a notification', 'Idempotent.', unarchive)

    server.delete(
      '/notifications/:id',
      {
        schema: {
          tags,
          summary: 'Delete a notification',
          description: 'Removes it on all devices.',
          answers: { 200: 'It is deleted' },
          errors: ['NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
          params: OneId,
          response: { 200: Counts },
        },
      },
      async (request) => {
        const result = await remove(app, request.user.userId, { ids: [request.params.id] })
        if (result.updated === 0) throw fail('NOTIFICATION_NOT_FOUND')
        return toCounts(result)
      },
    )
  }
}

function changingMany(app: App): FastifyPluginAsyncTypebox {
  const { pool } = app
  return async (server) => {
    const change = (verb: string, summary: string, apply: Change) =>
      server.post(
        `/notifications/${verb}`,
        {
          schema: {
            tags,
            summary,
            description:
              'Takes either `ids` or `upTo`: all whose content last grew at or before that state. Ignores unknown ids.',
            answers: { 200: 'How many changed, and the new counts' },
            errors: ['BAD_STATE', 'INBOX_BUSY'],
            body: Bulk,
            response: { 200: Updated },
          },
        },
        async ({ user: { userId }, body: { ids, upTo } }) =>
          toUpdated(await apply(app, userId, ids ? { ids } : { upTo: await resolveUpTo(pool, userId, upTo) })),
      )
    change('read', 'Mark many notifications as read', markRead)
    change('archive', 'Archive many notifications', archive)
    change('delete', 'Delete many notifications', remove)

    server.patch(
      '/notifications/mark-all-read',
      {
        schema: {
          tags,
          summary: 'Mark all notifications as read',
          description:
            'Send `upTo`, so that what arrives meanwhile stays unread. Without it: all that exist at the call.',
          answers: { 200: 'How many changed, and the new counts' },
          errors: ['BAD_STATE', 'INBOX_BUSY'],
          body: MarkAllBody,
          response: { 200: Updated },
        },
      },
      async ({ user: { userId }, body }) =>
        toUpdated(await markRead(app, userId, { upTo: await resolveUpTo(pool, userId, body.upTo) })),
    )

    server.post(
      '/notifications/seen',
      {
        schema: {
          tags,
          summary: 'Mark all notifications up to a state as seen',
          description:
            'Call it when the bell is opened: `unseenCount` becomes 0. Only raises the watermark, never lowers it.',
          answers: { 200: 'How many became seen, and the new counts' },
          errors: ['BAD_STATE', 'INBOX_BUSY'],
          body: SeenBody,
          response: { 200: Updated },
        },
      },
      async ({ user: { userId }, body }) =>
        toUpdated(await markSeen(app, userId, await resolveUpTo(pool, userId, body.upTo))),
    )

    server.post(
      '/notifications/ack',
      {
        schema: {
          tags,
          summary: 'Acknowledge all notifications up to a state',
          description: 'For clients without a socket: sets `deliveredAt` of everything up to the state. Idempotent.',
          answers: { 204: 'Acknowledged' },
          errors: ['BAD_STATE'],
          body: AckBody,
          response: { 204: Type.Null() },
        },
      },
      async ({ user: { userId }, body }, reply) => {
        await acknowledge(pool, [{ userId, modseq: await resolveUpTo(pool, userId, body.state, 'cut') }], 'at once')
        return reply.code(204).send(null)
      },
    )
  }
}

function toUpdated(result: InboxResult): Static<typeof Updated> {
  return { updated: result.updated, ...toCounts(result) }
}
