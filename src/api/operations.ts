import type { Code } from '../errors.ts'

export type Operation = readonly [summary: string, ...codes: Code[]]

const once = ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_BUSY'] as const
const onceOnly = ['IDEMPOTENCY_KEY_REQUIRED', ...once] as const

/** The summary of each call, and the error codes it may answer in addition to the common ones. */
export const operations: Record<string, Operation> = {
  'POST /auth/signup': ['Create an account and sign in', 'PASSWORD_TOO_COMMON', 'USERNAME_TAKEN', 'EMAIL_TAKEN'],
  'POST /auth/signin': ['Sign in by username or address', 'BAD_CREDENTIALS'],
  'POST /auth/refresh': [
    'Exchange a refresh token for a new pair',
    'NO_REFRESH_TOKEN',
    'BAD_REFRESH_TOKEN',
    'REFRESH_TOKEN_REUSED',
    'BAD_CREDENTIALS',
  ],
  'POST /auth/signout': ['End the session of a refresh token', 'NO_REFRESH_TOKEN', 'BAD_REFRESH_TOKEN'],
  'PUT /auth/password': [
    'Change my password and end my other sessions',
    'WRONG_PASSWORD',
    'PASSWORD_TOO_COMMON',
    'PASSWORD_UNCHANGED',
  ],
  'POST /auth/password/forgot': ['Request a mail that resets a forgotten password'],
  'GET /auth/password/reset': ['Page with a form for a new password, linked from a mail'],
  'POST /auth/password/reset': [
    'Set a new password with the mailed token and end all my sessions',
    'BAD_TOKEN',
    'PASSWORD_TOO_COMMON',
  ],
  'GET /auth/me': ['Get my account'],
  'GET /auth/me/export': ['Export everything stored about me as one JSON stream'],
  'PATCH /auth/me': [
    'Change my address, username, language or time zone',
    'WRONG_PASSWORD',
    'EMAIL_TAKEN',
    'USERNAME_TAKEN',
    'BAD_TIME_ZONE',
  ],
  'GET /auth/sessions': ['List my sessions, newest first'],
  'DELETE /auth/sessions/{id}': ['End one of my sessions', 'SESSION_NOT_FOUND'],

  'GET /auth/verify-email': ['Page with a button that confirms an address, linked from a mail', 'BAD_TOKEN'],
  'POST /auth/verify-email/resend': ['Resend the mail that confirms my address'],
  'POST /auth/verify-email': ['Confirm an address with the mailed token', 'BAD_TOKEN', 'EMAIL_TAKEN'],

  'GET /users/search': ['Find users by name'],
  'GET /users/by-name/{username}': ['Get a user by username', 'USER_NOT_FOUND'],
  'GET /users/blocked': ['List the users I block'],
  'GET /users/muted': ['List the users I mute'],
  'GET /users/{id}': ['Get a user', 'USER_NOT_FOUND'],
  'PATCH /users/{id}': ['Edit my profile', 'USER_NOT_FOUND', 'NOT_YOURSELF', 'MEDIA_NOT_USABLE'],
  'DELETE /users/{id}': [
    'Delete my account and everything with it',
    'USER_NOT_FOUND',
    'NOT_YOURSELF',
    'WRONG_PASSWORD',
  ],
  'GET /users/external/{externalId}': ['Get a user of your application', 'FORBIDDEN', 'USER_NOT_FOUND'],
  'PUT /users/external/{externalId}': [
    'Create or change a user of your application',
    'FORBIDDEN',
    'USERNAME_TAKEN',
    'EMAIL_TAKEN',
    'BAD_TIME_ZONE',
    'USER_NOT_FOUND',
    'INBOX_BUSY',
  ],
  'PUT /users/external': [
    'Create or change up to 1,000 users of your application',
    'FORBIDDEN',
    'USERNAME_TAKEN',
    'EMAIL_TAKEN',
    'BAD_TIME_ZONE',
    'INBOX_BUSY',
  ],
  'DELETE /users/external/{externalId}': ['Delete a user of your application', 'FORBIDDEN', 'USER_NOT_FOUND'],
  'GET /users/{id}/followers': ['List the followers of a user', 'USER_NOT_FOUND'],
  'GET /users/{id}/following': ['List the users that a user follows', 'USER_NOT_FOUND'],
  'GET /users/{id}/friends': ['List the followers that a user follows back', 'USER_NOT_FOUND'],
  'POST /users/{id}/follow': ['Follow a user', 'USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
  'POST /users/{id}/unfollow': ['Unfollow a user', 'USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
  'PUT /users/{id}/bell': [
    'Turn notifications about the posts of a user on or off',
    'USER_NOT_FOUND',
    'CANNOT_RING_FOR_SELF',
  ],
  'PUT /users/{id}/block': ['Block a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF', 'INBOX_BUSY'],
  'DELETE /users/{id}/block': ['Unblock a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
  'PUT /users/{id}/mute': ['Mute a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
  'DELETE /users/{id}/mute': ['Unmute a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],

  'POST /posts': ['Publish a post', 'MEDIA_NOT_USABLE', ...once],
  'GET /posts': ['List posts of everyone, of people I follow, or of one user', 'USER_NOT_FOUND'],
  'GET /posts/search': ['Search posts by words, newest first'],
  'GET /posts/{id}': ['Get a post', 'POST_NOT_FOUND'],
  'PATCH /posts/{id}': ['Edit my post', 'POST_NOT_FOUND', 'NOT_AUTHOR'],
  'DELETE /posts/{id}': ['Delete my post', 'POST_NOT_FOUND', 'NOT_AUTHOR'],
  'GET /posts/{id}/likes': ['List the users who like a post, latest first', 'POST_NOT_FOUND'],
  'POST /posts/{id}/like': ['Like a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/like': ['Remove my like', 'POST_NOT_FOUND'],
  'POST /posts/{id}/comment': [
    'Comment on a post, or reply to a comment',
    'POST_NOT_FOUND',
    'COMMENT_NOT_FOUND',
    ...once,
  ],
  'GET /posts/{id}/comments': [
    'List the comments of a post, or the replies to a comment, oldest first',
    'POST_NOT_FOUND',
    'COMMENT_NOT_FOUND',
  ],
  'PATCH /comments/{id}': ['Edit my comment', 'COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
  'DELETE /comments/{id}': ['Delete my comment', 'COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
  'PUT /posts/{id}/bookmark': ['Bookmark a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/bookmark': ['Remove a bookmark', 'POST_NOT_FOUND'],
  'PUT /posts/{id}/mute': ['Mute a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/mute': ['Unmute a post', 'POST_NOT_FOUND'],
  'GET /bookmarks': ['List my bookmarks'],

  'POST /media/upload': [
    'Upload an image, audio or video',
    'MEDIA_TOO_LARGE',
    'MEDIA_QUOTA_EXCEEDED',
    'MEDIA_STORAGE_FULL',
    'TOO_MANY_UPLOADS',
    'MEDIA_TYPE_NOT_ALLOWED',
    ...once,
  ],
  'GET /media/{id}/stream': ['Get a file, or a range of it', 'MEDIA_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],
  'HEAD /media/{id}/stream': ['Get the headers of a file', 'MEDIA_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],

  'GET /notifications': ['My notifications, newest first, with counts and state'],
  'GET /notifications/pending': ['Not yet delivered'],
  'GET /notifications/history': ['Everything, archived too'],
  'GET /notifications/unread-count': ['The badge'],
  'GET /notifications/stats': ['Counts by type, priority and state'],
  'GET /notifications/changes': ['What changed since a state', 'BAD_STATE', 'STATE_TOO_OLD'],
  'GET /notifications/{id}': ['A notification', 'NOTIFICATION_NOT_FOUND'],
  'GET /notifications/{id}/actors': ['Everybody behind a notification, latest first', 'NOTIFICATION_NOT_FOUND'],
  'GET /notifications/{id}/why': ['The decisions behind a notification', 'NOTIFICATION_NOT_FOUND'],
  'DELETE /notifications/{id}': ['Delete a notification', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'PATCH /notifications/{id}/read': ['Mark as read', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'POST /notifications/{id}/read': ['Mark as read, for clients without PATCH', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'PATCH /notifications/{id}/unread': ['Mark as unread', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'PATCH /notifications/{id}/archive': ['Archive', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'PATCH /notifications/{id}/unarchive': ['Unarchive a notification', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'POST /notifications/read': ['Mark many as read', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/archive': ['Archive many', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/delete': ['Delete many', 'BAD_STATE', 'INBOX_BUSY'],
  'PATCH /notifications/mark-all-read': ['Mark all as read', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/seen': ['Mark everything up to a state as seen', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/ack': ['Acknowledge everything up to a state', 'BAD_STATE'],
  'GET /notifications/preferences': ['Get my preferences and what is in effect'],
  'PUT /notifications/preferences': ['Replace my preferences', 'BAD_TIME_ZONE', 'INBOX_BUSY'],
  'POST /notifications/preferences/what-if': ['Try preferences on my notifications of the last days', 'BAD_TIME_ZONE'],
  'POST /notifications/send': ['Send a notification to one user', 'FORBIDDEN', 'USER_NOT_FOUND', ...onceOnly],
  'POST /notifications/send/batch': ['Send a notification to a list of users', 'FORBIDDEN', ...onceOnly],
  'GET /notifications/sends/{sendId}': ['Get the progress of a send', 'FORBIDDEN', 'SEND_NOT_FOUND'],
  'POST /service-tokens': ['Create a service token', 'FORBIDDEN'],
  'GET /service-tokens': ['List the service tokens', 'FORBIDDEN'],
  'DELETE /service-tokens/{id}': ['Revoke a service token', 'FORBIDDEN', 'SERVICE_TOKEN_NOT_FOUND'],

  'POST /webhooks': [
    'Create a webhook; the answer shows its secret once',
    'FORBIDDEN',
    'WEBHOOK_URL_REFUSED',
    'TOO_MANY_WEBHOOKS',
  ],
  'GET /webhooks': ['List the webhooks', 'FORBIDDEN'],
  'GET /webhooks/{id}': ['Get a webhook', 'FORBIDDEN', 'WEBHOOK_NOT_FOUND'],
  'PATCH /webhooks/{id}': [
    'Change, disable or enable a webhook',
    'FORBIDDEN',
    'WEBHOOK_NOT_FOUND',
    'WEBHOOK_URL_REFUSED',
  ],
  'DELETE /webhooks/{id}': ['Delete a webhook and the messages that wait for it', 'FORBIDDEN', 'WEBHOOK_NOT_FOUND'],
  'POST /webhooks/{id}/rotate-secret': [
    'Create a new secret; the old one also signs for 24 hours',
    'FORBIDDEN',
    'WEBHOOK_NOT_FOUND',
  ],
  'POST /webhooks/{id}/test': ['Send a test message', 'FORBIDDEN', 'WEBHOOK_NOT_FOUND', 'WEBHOOK_DISABLED', ...once],
  'GET /webhooks/{id}/deliveries': ['List the messages of a webhook', 'FORBIDDEN', 'WEBHOOK_NOT_FOUND'],
  'POST /webhooks/{id}/deliveries/{deliveryId}/retry': [
    'Retry a message, with the same webhook-id',
    'FORBIDDEN',
    'WEBHOOK_NOT_FOUND',
    'WEBHOOK_DELIVERY_NOT_FOUND',
    'WEBHOOK_DISABLED',
    ...once,
  ],
  'POST /webhooks/{id}/recover': [
    'Retry all messages that failed since a time',
    'FORBIDDEN',
    'WEBHOOK_NOT_FOUND',
    'WEBHOOK_DISABLED',
  ],

  'GET /push/vapid-public-key': ['Get the public key for web push subscriptions', 'PUSH_NOT_CONFIGURED'],
  'GET /push/subscriptions': ['List my web push subscriptions'],
  'POST /push/subscriptions': [
    'Subscribe a browser to web push',
    'BAD_ENDPOINT',
    'PUSH_NOT_CONFIGURED',
    'INBOX_BUSY',
    ...once,
  ],
  'DELETE /push/subscriptions/{id}': ['Delete a web push subscription', 'SUBSCRIPTION_NOT_FOUND'],

  'GET /unsubscribe/{token}': ['Page that asks before unsubscribing, linked from a mail', 'BAD_TOKEN'],
  'POST /unsubscribe/{token}': ['Unsubscribe from mails (RFC 8058)', 'BAD_TOKEN'],

  'GET /admin/roles': ['List the readers, operators and admins', 'FORBIDDEN'],
  'PUT /admin/users/{id}/role': [
    'Change the role of a user',
    'FORBIDDEN',
    'WRONG_PASSWORD',
    'USER_NOT_FOUND',
    'CANNOT_CHANGE_OWN_ROLE',
  ],
  'GET /admin/dead-letters': ['List dead letters', 'FORBIDDEN'],
  'GET /admin/users/{id}/why-not': ['Explain why a user did not get a notification', 'FORBIDDEN'],
  'GET /admin/dead-letters/{id}': ['Get a dead letter and its last error', 'FORBIDDEN', 'DEAD_LETTER_NOT_FOUND'],
  'POST /admin/dead-letters/{id}/replay': ['Replay a dead letter', 'FORBIDDEN', 'DEAD_LETTER_NOT_FOUND', ...once],

  'GET /admin/notification-types': ['List the notification types', 'FORBIDDEN'],
  'PATCH /admin/notification-types/{type}': [
    'Change a notification type; processes notice within two seconds',
    'FORBIDDEN',
    'NOTIFICATION_TYPE_NOT_FOUND',
    'BAD_TEMPLATE',
  ],

  'GET /healthz': ['Liveness probe'],
  'GET /readyz': ['Readiness probe, with the reason when not ready'],
  'GET /metrics': ['Metrics for Prometheus', 'UNAUTHENTICATED'],
}

export const tags: Record<string, string> = {
  accounts: 'Accounts and sessions',
  users: 'Profiles, follows, blocks and mutes',
  posts: 'Posts, likes, comments and bookmarks',
  media: 'Images, audio and video',
  notifications: 'The inbox, its changes and preferences',
  services:
    'For admins and services: sending, webhooks, and the users of your own application. Below `/users/external/{externalId}` there is also every call of `/users/{id}`',
  admin: 'Administration',
  operation: 'Probes and metrics',
}

/** The documentation group of a call. */
export function tagOf(path: string): string {
  const first = path.split('/')[1] ?? ''
  if (/^\/notifications\/send|^\/service-tokens|^\/webhooks|^\/users\/external/.test(path)) return 'services'
  return tagOfFirst[first] ?? (first in tags ? first : 'operation')
}

const tagOfFirst: Record<string, string> = {
  auth: 'accounts',
  comments: 'posts',
  bookmarks: 'posts',
  push: 'notifications',
  unsubscribe: 'notifications',
}

/**
 * `PATCH /notifications/{id}/mark-read` → `patchNotificationsByIdMarkRead`. Derived from the path, so that a new
 * summary does not rename it.
 */
export function operationIdOf(method: string, path: string): string {
  const words = path.replaceAll(/\{(\w+)\}/g, 'by-$1').split(/[/-]/)
  return method.toLowerCase() + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
}
