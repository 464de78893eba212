import type { Code } from '../errors.ts'

export type Operation = readonly [summary: string, ...codes: Code[]]

const once = ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_BUSY'] as const
const onceOnly = ['IDEMPOTENCY_KEY_REQUIRED', ...once] as const

/** What a line of the document says about each call, and the codes it may answer with beside those that every call has. */
export const operations: Record<string, Operation> = {
  'POST /auth/signup': ['Make an account and sign in', 'PASSWORD_TOO_COMMON', 'USERNAME_TAKEN', 'EMAIL_TAKEN'],
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
    'Change my password, and end my other sessions',
    'WRONG_PASSWORD',
    'PASSWORD_TOO_COMMON',
    'PASSWORD_UNCHANGED',
  ],
  'POST /auth/password/forgot': ['Ask for a mail to reset a forgotten password'],
  'GET /auth/password/reset': ['The page that a mail links to, with a form for a new password'],
  'POST /auth/password/reset': [
    'Set a new password by the token that was mailed, and end all my sessions',
    'BAD_TOKEN',
    'PASSWORD_TOO_COMMON',
  ],
  'GET /auth/me': ['My account'],
  'GET /auth/me/export': ['Everything that is stored about me, as one JSON stream'],
  'PATCH /auth/me': [
    'Change my address, username, language or time zone',
    'WRONG_PASSWORD',
    'EMAIL_TAKEN',
    'USERNAME_TAKEN',
    'BAD_TIME_ZONE',
  ],
  'GET /auth/sessions': ['My sessions, newest first'],
  'DELETE /auth/sessions/{id}': ['End one of my sessions', 'SESSION_NOT_FOUND'],

  'GET /auth/verify-email': ['The page that a mail links to, with a button that confirms', 'BAD_TOKEN'],
  'POST /auth/verify-email/resend': ['Send the mail that confirms my address again'],
  'POST /auth/verify-email': ['Confirm an address by the token that was mailed', 'BAD_TOKEN', 'EMAIL_TAKEN'],

  'GET /users/search': ['Find users by name'],
  'GET /users/by-name/{username}': ['A profile, by username', 'USER_NOT_FOUND'],
  'GET /users/blocked': ['Users whom I block'],
  'GET /users/muted': ['Users whom I mute'],
  'GET /users/{id}': ['A profile', 'USER_NOT_FOUND'],
  'PATCH /users/{id}': ['Edit my profile', 'USER_NOT_FOUND', 'NOT_YOURSELF', 'MEDIA_NOT_USABLE'],
  'DELETE /users/{id}': [
    'Delete my account and everything with it',
    'USER_NOT_FOUND',
    'NOT_YOURSELF',
    'WRONG_PASSWORD',
  ],
  'GET /users/external/{externalId}': ['A user of your application', 'FORBIDDEN', 'USER_NOT_FOUND'],
  'PUT /users/external/{externalId}': [
    'Make or change a user of your application',
    'FORBIDDEN',
    'USERNAME_TAKEN',
    'EMAIL_TAKEN',
    'BAD_TIME_ZONE',
    'USER_NOT_FOUND',
    'INBOX_BUSY',
  ],
  'PUT /users/external': [
    'Make or change up to 1000 users of your application',
    'FORBIDDEN',
    'USERNAME_TAKEN',
    'EMAIL_TAKEN',
    'BAD_TIME_ZONE',
    'INBOX_BUSY',
  ],
  'DELETE /users/external/{externalId}': ['Delete a user of your application', 'FORBIDDEN', 'USER_NOT_FOUND'],
  'GET /users/{id}/followers': ['Who follows a user', 'USER_NOT_FOUND'],
  'GET /users/{id}/following': ['Whom a user follows', 'USER_NOT_FOUND'],
  'GET /users/{id}/friends': ['Who follows a user and is followed back', 'USER_NOT_FOUND'],
  'POST /users/{id}/follow': ['Follow a user', 'USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
  'POST /users/{id}/unfollow': ['No longer follow a user', 'USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
  'PUT /users/{id}/bell': ['Be told of every post of a user, or no longer', 'USER_NOT_FOUND', 'CANNOT_RING_FOR_SELF'],
  'PUT /users/{id}/block': ['Block a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF', 'INBOX_BUSY'],
  'DELETE /users/{id}/block': ['Unblock a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
  'PUT /users/{id}/mute': ['Mute a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
  'DELETE /users/{id}/mute': ['Unmute a user', 'USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],

  'POST /posts': ['Publish a post', 'MEDIA_NOT_USABLE', ...once],
  'GET /posts': ['The feed: of everyone, of people I follow, or of one user', 'USER_NOT_FOUND'],
  'GET /posts/search': ['Posts that have some words, newest first'],
  'GET /posts/{id}': ['A post', 'POST_NOT_FOUND'],
  'PATCH /posts/{id}': ['Edit my post', 'POST_NOT_FOUND', 'NOT_AUTHOR'],
  'DELETE /posts/{id}': ['Delete my post', 'POST_NOT_FOUND', 'NOT_AUTHOR'],
  'GET /posts/{id}/likes': ['Users who like a post, latest first', 'POST_NOT_FOUND'],
  'POST /posts/{id}/like': ['Like a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/like': ['Take a like back', 'POST_NOT_FOUND'],
  'POST /posts/{id}/comment': [
    'Comment on a post, or reply to a comment',
    'POST_NOT_FOUND',
    'COMMENT_NOT_FOUND',
    ...once,
  ],
  'GET /posts/{id}/comments': ['Comments on a post, or replies, oldest first', 'POST_NOT_FOUND', 'COMMENT_NOT_FOUND'],
  'PATCH /comments/{id}': ['Edit my comment', 'COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
  'DELETE /comments/{id}': ['Delete my comment', 'COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
  'PUT /posts/{id}/bookmark': ['Keep a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/bookmark': ['No longer keep a post', 'POST_NOT_FOUND'],
  'PUT /posts/{id}/mute': ['Hear no more about a post', 'POST_NOT_FOUND'],
  'DELETE /posts/{id}/mute': ['Hear about a post again', 'POST_NOT_FOUND'],
  'GET /bookmarks': ['Posts that I keep'],

  'POST /media/upload': [
    'Upload an image, audio or video',
    'MEDIA_TOO_LARGE',
    'MEDIA_QUOTA_EXCEEDED',
    'MEDIA_STORAGE_FULL',
    'TOO_MANY_UPLOADS',
    'MEDIA_TYPE_NOT_ALLOWED',
    ...once,
  ],
  'GET /media/{id}/stream': ['The bytes of a file, or a range of them', 'MEDIA_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],
  'HEAD /media/{id}/stream': ['What GET would say of a file', 'MEDIA_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],

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
  'PATCH /notifications/{id}/unarchive': ['Take out of the archive', 'NOTIFICATION_NOT_FOUND', 'INBOX_BUSY'],
  'POST /notifications/read': ['Mark many as read', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/archive': ['Archive many', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/delete': ['Delete many', 'BAD_STATE', 'INBOX_BUSY'],
  'PATCH /notifications/mark-all-read': ['Mark all as read', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/seen': ['Say what was seen', 'BAD_STATE', 'INBOX_BUSY'],
  'POST /notifications/ack': ['Say what has arrived', 'BAD_STATE'],
  'GET /notifications/preferences': ['My preferences, and what they come to'],
  'PUT /notifications/preferences': ['Replace my preferences', 'BAD_TIME_ZONE', 'INBOX_BUSY'],
  'POST /notifications/send': ['Send to one user', 'FORBIDDEN', 'USER_NOT_FOUND', ...onceOnly],
  'POST /notifications/send/batch': ['Send to a list of users', 'FORBIDDEN', ...onceOnly],
  'GET /notifications/sends/{sendId}': ['How far a send has come', 'FORBIDDEN', 'SEND_NOT_FOUND'],
  'POST /service-tokens': ['Make a token for a service', 'FORBIDDEN'],
  'GET /service-tokens': ['The tokens of services', 'FORBIDDEN'],
  'DELETE /service-tokens/{id}': ['Withdraw a token', 'FORBIDDEN', 'SERVICE_TOKEN_NOT_FOUND'],

  'GET /push/vapid-public-key': ['The key for web push subscriptions', 'PUSH_NOT_CONFIGURED'],
  'GET /push/subscriptions': ['The browsers that are told by web push, and in which session they subscribed'],
  'POST /push/subscriptions': ['Be told by web push too', 'BAD_ENDPOINT', 'PUSH_NOT_CONFIGURED', 'INBOX_BUSY', ...once],
  'DELETE /push/subscriptions/{id}': ['No longer be told there', 'SUBSCRIPTION_NOT_FOUND'],

  'GET /unsubscribe/{token}': ['A page that asks before unsubscribing', 'BAD_TOKEN'],
  'POST /unsubscribe/{token}': ['Unsubscribe from mails (RFC 8058)', 'BAD_TOKEN'],

  'GET /admin/dead-letters': ['Events that could not be told', 'FORBIDDEN'],
  'GET /admin/users/{id}/why-not': ['Why a user did not get something', 'FORBIDDEN'],
  'GET /admin/dead-letters/{id}': ['One of them, and why', 'FORBIDDEN', 'DEAD_LETTER_NOT_FOUND'],
  'POST /admin/dead-letters/{id}/replay': ['Try it again', 'FORBIDDEN', 'DEAD_LETTER_NOT_FOUND'],

  'GET /admin/notification-types': ['What is true of each type of notification', 'FORBIDDEN'],
  'PATCH /admin/notification-types/{type}': [
    'Change a type; processes notice within seconds',
    'FORBIDDEN',
    'NOTIFICATION_TYPE_NOT_FOUND',
    'BAD_TEMPLATE',
  ],

  'GET /healthz': ['Whether the process lives'],
  'GET /readyz': ['Whether it can serve; the reason where it cannot'],
  'GET /metrics': ['Measures for Prometheus', 'UNAUTHENTICATED'],
}

export const tags: Record<string, string> = {
  accounts: 'Signing up, in and out; sessions',
  users: 'Profiles, follows, blocks and mutes',
  posts: 'Posts, likes, comments and bookmarks',
  media: 'Images, audio and video',
  notifications: 'The inbox, its changes and preferences',
  services:
    'For admins and services: sending, and the users of your own application. Below `/users/external/{externalId}` there is also every call of `/users/{id}`',
  admin: 'For admins',
  operation: 'For load balancers, orchestrators and Prometheus',
}

/** The group a call is shown in. */
export function tagOf(path: string): string {
  const first = path.split('/')[1] ?? ''
  if (/^\/notifications\/send|^\/service-tokens|^\/users\/external/.test(path)) return 'services'
  return tagOfFirst[first] ?? (first in tags ? first : 'operation')
}

const tagOfFirst: Record<string, string> = {
  auth: 'accounts',
  comments: 'posts',
  bookmarks: 'posts',
  push: 'notifications',
  unsubscribe: 'notifications',
}

/** `PATCH /notifications/{id}/mark-read` → `patchNotificationsByIdMarkRead`: names that stay when a call gets a better summary. */
export function operationIdOf(method: string, path: string): string {
  const words = path.replaceAll(/\{(\w+)\}/g, 'by-$1').split(/[/-]/)
  return method.toLowerCase() + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
}
