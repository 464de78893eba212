import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { Change } from '../dispatch/store.ts'
import type { WebhookEvent } from './events.ts'

/** SQL expression over a row `w` of notify.webhooks: whether the endpoint subscribes to this event. */
export const takes = (event: string) => `w.disabled_at is null and ${event} = any(w.events)`

/** Whether any endpoint subscribes to events of notifications. Read once, in the statement that locks inboxes. */
export const someTakesChanges = `exists (select from notify.webhooks w
  where w.disabled_at is null and w.events && '{notification.created,notification.updated,notification.removed}')`

/**
 * An insert for a `with` of the statement that creates the event: one row for each subscribed endpoint and each row of
 * `from`.
 */
export function queueRows(
  event: WebhookEvent,
  { userId, notificationId = 'null::bigint', data = `'{}'::jsonb`, from }: Record<string, string> & { from: string },
): string {
  return `insert into notify.webhook_deliveries (webhook_id, event, recipient_id, notification_id, data)
    select w.id, '${event}', ${userId}, ${notificationId}, ${data} from notify.webhooks w cross join ${from}
    where ${takes(`'${event}'`)}`
}

/** `data` of `broadcast.finished`. Counts are recipients; `state` is how it ended. */
export type BroadcastFinished = {
  broadcastId: string
  name: string
  state: 'finished' | 'cancelled' | 'recalled'
  total: number
  stored: number
  filtered: number
  suppressed: number
  failed: number
}

/** Queues `broadcast.finished`. Call it in the transaction that ends the broadcast. */
export async function queueBroadcastFinished(client: pg.ClientBase, broadcast: BroadcastFinished): Promise<void> {
  await client.query({
    name: 'queue_broadcast_finished',
    text: queueRows('broadcast.finished', { userId: 'null::bigint', data: '$1::jsonb', from: '(select) once' }),
    values: [JSON.stringify(broadcast)],
  })
}

/** Queues the changes of these inboxes, except filtered notifications, which are not in the app. */
export async function queueChanges(client: pg.ClientBase, changes: Change[]): Promise<void> {
  const queued = changes.filter(({ draft, inbox }) => inbox.hasTakers && !draft.filtered)
  if (queued.length === 0) return
  await client.query({
    name: 'queue_webhooks',
    text: `insert into notify.webhook_deliveries (webhook_id, event, recipient_id, notification_id)
           select w.id, q.event, q.user_id, q.notification_id
           from (select * from ${changed.from}) q
           join notify.webhooks w on ${takes('q.event')}`,
    values: changed.values(queued),
  })
}

const changed = columns<Change>({
  user_id: ['bigint', ({ draft }) => draft.userId],
  notification_id: ['bigint', ({ draft }) => draft.id],
  event: ['text', eventOf],
})

function eventOf({ draft, born }: Change): WebhookEvent {
  if (draft.removed) return 'notification.removed'
  return born ? 'notification.created' : 'notification.updated'
}
