/** What an endpoint can take. */
export const webhookEvents = [
  'notification.created',
  'notification.updated',
  'notification.removed',
  'notification.read',
  'delivery.failed',
  'broadcast.finished',
  'dead_letter.created',
] as const
export type WebhookEvent = (typeof webhookEvents)[number]

/** Of `POST /webhooks/:id/test`; no endpoint has to ask for it. */
export const TEST_EVENT = 'webhook.test'
