/** The events that an endpoint can subscribe to. */
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

/** The event of `POST /webhooks/:id/test`. Endpoints do not have to subscribe to it. */
export const TEST_EVENT = 'webhook.test'
