// Made by `npm run client-types` from the schemas of the server; not edited by hand.

export type PostLikedData = {
  /** Id of the post */
  postId: string
  /** First picture of the post or comment, at /media/{id}/stream; absent without one */
  mediaId?: string
  [more: string]: unknown
}

export type CommentCreatedData = {
  /** Id of the post */
  postId: string
  /** Id of the comment */
  commentId: string
  /** Id of the comment it replies to */
  parentId: string | null
  /** true when the comment also names the recipient */
  mentioned?: boolean
  /** First picture of the post or comment, at /media/{id}/stream; absent without one */
  mediaId?: string
  [more: string]: unknown
}

export type CommentRepliedData = {
  /** Id of the post */
  postId: string
  /** Id of the comment */
  commentId: string
  /** Id of the comment it replies to, which is the object */
  parentId: string
  /** true when the comment also names the recipient */
  mentioned?: boolean
  /** First picture of the post or comment, at /media/{id}/stream; absent without one */
  mediaId?: string
  [more: string]: unknown
}

export type UserMentionedData = {
  /** Id of the post */
  postId: string
  /** Id of the comment; absent for a mention in a post */
  commentId?: string
  /** Id of the comment it replies to; absent for a mention in a post */
  parentId?: string | null
  /** First picture of the post or comment, at /media/{id}/stream; absent without one */
  mediaId?: string
  [more: string]: unknown
}

export type UserFollowedData = {
  /** Id of the followed user, the recipient */
  followeeId: string
  [more: string]: unknown
}

export type PostPublishedData = PostLikedData

export type Actor = {
  /** Id of the user */
  id: string
  username: string
  displayName: string
  /** Picture, at /media/{id}/stream */
  avatarMediaId: string | null
  /** URL of a picture hosted by another application, used when avatarMediaId is null */
  avatarUrl?: string
}

export type Notification = {
  /** Unique within the inbox */
  id: string
  /** A built-in type, `system`, or a name that an application sent. More types may come */
  type: 'post.liked' | 'comment.created' | 'comment.replied' | 'user.mentioned' | 'user.followed' | 'post.published' | 'system' | string
  /** critical ones ignore preferences and quiet hours */
  priority: 'critical' | 'high' | 'normal' | 'low'
  /** For the color of a toast */
  severity: 'info' | 'success' | 'warning' | 'error'
  /** In the language of the user, at most 200 characters */
  title: string
  /** The sent text, or the beginning of the post or comment */
  body: string | null
  /** A path of the app, or http(s) */
  url: string | null
  /** By type: `PostLikedData` for `post.liked`, and so on; the sent data for types of applications */
  data: PostLikedData | CommentCreatedData | CommentRepliedData | UserMentionedData | UserFollowedData | Record<string, unknown>
  /** Users behind it. People the recipient follows come first, then the latest */
  actors: Actor[]
  /** Number of distinct users behind it */
  actorCount: number
  /** What it is about */
  object: {
    /** post, comment or user; for a send, as sent */
    type: string
    /** Id of the object */
    id: string
  } | null
  /** Events of one key are one notification until it is read or archived */
  groupKey: string | null
  /** Title and body as plain text, for clients that do not know the type */
  fallback: string
  /** Time of its first event */
  createdAt: string
  /** Time at which its content last grew; lists sort by it */
  updatedAt: string
  /** Time at which a device acknowledged it */
  deliveredAt: string | null
  /** Time at which the user read it */
  readAt: string | null
  /** Time at which the user archived it */
  archivedAt: string | null
  /** Time at which it is removed */
  expiresAt: string
  /** It is read, or the bell was opened after its content last grew */
  seen: boolean
  /** Show it without toast or sound */
  silent: boolean
}

export type Changes = {
  /** State before these changes, <epoch>.<n> */
  from: string
  /** State after these changes, <epoch>.<n> */
  to: string
  /** More changes follow, from `to` */
  more: boolean
  /** Created or changed between the two states; each once, as it is now */
  upserts: Notification[]
  /** Ids of notifications that are gone */
  removes: string[]
  /** As of `to`; absent where `more` is true */
  unreadCount?: number
  /** As of `to`; absent where `more` is true */
  unseenCount?: number
}

export type NotificationPage = {
  items: Notification[]
  /** `cursor` of the next page; null on the last */
  nextCursor: string | null
  /** Goes down by reading. Without archived, filtered and expired ones */
  unreadCount: number
  /** Goes down by opening the bell, too; for the badge */
  unseenCount: number
  /** State of an inbox, <epoch>.<n> */
  state: string
}

export type Counts = {
  /** Goes down by reading. Without archived, filtered and expired ones */
  unreadCount: number
  /** Goes down by opening the bell, too; for the badge */
  unseenCount: number
  /** State of an inbox, <epoch>.<n> */
  state: string
  /** With verify=true: counted now, in the snapshot of the stored counts */
  recounted?: {
    unreadCount: number
    unseenCount: number
  }
}

export type Updated = {
  /** Notifications that changed */
  updated: number
  /** Goes down by reading. Without archived, filtered and expired ones */
  unreadCount: number
  /** Goes down by opening the bell, too; for the badge */
  unseenCount: number
  /** State of an inbox, <epoch>.<n> */
  state: string
}

export type Preferences = {
  /** By type; decides before `channels` */
  types?: Record<string, {
    inApp?: boolean
    email?: boolean
    webPush?: boolean
    /** Limits this type. More than that are shown silently; their mails and pushes wait, and go out as one mail and one push. */
    cap?: {
      /** Notifications that may make a sound */
      atMost: number
      /** in any time of this length */
      seconds: number
    } | null
  }>
  /** false: this channel is off for all types */
  channels?: {
    inApp?: boolean
    email?: boolean
    webPush?: boolean
  }
  policy?: {
    /** Users whom I do not follow. filter: only in `GET /notifications?filter=filtered` */
    strangers?: 'accept' | 'filter' | 'drop'
  }
  dnd?: {
    enabled: boolean
    /** IANA zone, for example Europe/Berlin */
    timeZone: string
    /** Notifications arrive silently in them; mails and pushes wait */
    windows: {
      /** 1 = Monday */
      days: number[]
      from: string
      /** On the next day when it is not after `from` */
      to: string
    }[]
  }
  /** Everything is silent until then */
  snoozeUntil?: string | null
  /** Limits all types together. More than that are shown silently; their mails and pushes wait, and go out as one mail and one push. */
  cap?: {
    /** Notifications that may make a sound */
    atMost: number
    /** in any time of this length */
    seconds: number
  } | null
  /** Mails come once a day or week, with everything that is unread by then, instead of some minutes after each notification */
  digest?: {
    every: 'day' | 'week'
    /** Weekday of a weekly digest, 1 = Monday (the default) */
    day?: number
    at: string
    /** IANA zone; that of the account when it is missing, and UTC when that is too */
    timeZone?: string
  } | null
}

export type PreferencesAnswer = {
  preferences: Preferences
  /** By type: whether each channel is on now, without regard to quiet hours */
  effective: Record<string, {
    inApp: {
      enabled: boolean
      /** The rule that decides */
      decidedBy: string
    }
    email: {
      enabled: boolean
      /** The rule that decides */
      decidedBy: string
    }
    webPush: {
      enabled: boolean
      /** The rule that decides */
      decidedBy: string
    }
  }>
}

export type Why = {
  decisions: {
    /** inApp, email or webPush */
    channel: string
    /** defer: sent later, at `until` */
    decision: 'allow' | 'suppress' | 'defer'
    /** The rule, such as typePreference, mute or dnd */
    decidedBy: string
    /** The same in words */
    reason: string
    /** End of the delay; null: none */
    until: string | null
    /** Time of the decision */
    at: string
  }[]
  deliveries: {
    channel: string
    /** email: primary, the address of the account; webPush: id of the subscription */
    target: string
    /** queued, sending, sent, failed, bounced, … */
    state: string
    /** Why it was not sent */
    reason: string | null
    attempts: number
    /** Of the last attempt */
    lastError: string | null
    updatedAt: string
  }[]
}

export type Stats = {
  /** With archived ones */
  total: number
  byType: Record<string, number>
  unreadByType: Record<string, number>
  byPriority: Record<string, number>
  byState: {
    unread: number
    read: number
    /** Unread, and grown since the bell was last opened */
    unseen: number
    /** No device has acknowledged them */
    pending: number
    archived: number
    /** Kept out of the list by the policy for strangers, and not archived */
    filtered: number
  }
}

export type Comment = {
  id: string
  postId: string
  /** Id of the comment it replies to */
  parentId: string | null
  author: Actor
  /** Empty when the comment was deleted and is kept only for its replies */
  body: string
  mentions: {
    /** Id of the user */
    id: string
    /** Current username; the text contains the username at the time of writing */
    username: string
    /** Start of the mention (the @), in UTF-16 code units, as in JavaScript strings */
    start: number
    /** End of the mention, exclusive, in UTF-16 code units, as in JavaScript strings */
    end: number
  }[]
  /** Direct replies */
  replyCount: number
  createdAt: string
  /** Time of the last edit */
  updatedAt: string
}

export type PushSubscriptionBody = {
  /** URL of the push service for this browser */
  endpoint: string
  expirationTime?: number | null
  keys: {
    p256dh: string
    auth: string
  }
}

export type ClientFrame =
  | {
      type: 'hello'
      token: string
      since?: string
    }
  | {
      type: 'ack'
      state: string
    }
  | {
      type: 'read'
      ids: string[]
      ref?: string
    }
  | {
      type: 'unread'
      ids: string[]
      ref?: string
    }
  | {
      type: 'archive'
      ids: string[]
      ref?: string
    }
  | {
      type: 'unarchive'
      ids: string[]
      ref?: string
    }
  | {
      type: 'delete'
      ids: string[]
      ref?: string
    }
  | {
      type: 'readAll'
      upTo: string
      ref?: string
    }
  | {
      type: 'seen'
      upTo: string
      ref?: string
    }
  | {
      type: 'watch'
      posts: string[]
      /** Decimal id, opaque to clients */
      comments?: string
      feed?: 'all' | 'following'
    }
  | {
      type: 'token'
      token: string
    }
  | {
      type: 'ping'
    }

export type ServerFrame =
  | {
      type: 'welcome'
      userId: string
      sessionId: string
      state: string
      heartbeatSeconds: number
      unreadCount: number
      unseenCount: number
    }
  | {
      type: 'changes'
      /** State before these changes, <epoch>.<n> */
      from: string
      /** State after these changes, <epoch>.<n> */
      to: string
      /** More changes follow, from `to` */
      more: boolean
      /** Created or changed between the two states; each once, as it is now */
      upserts: Notification[]
      /** Ids of notifications that are gone */
      removes: string[]
      /** As of `to`; absent where `more` is true */
      unreadCount?: number
      /** As of `to`; absent where `more` is true */
      unseenCount?: number
    }
  | {
      type: 'synced'
      state: string
      count: number
    }
  | {
      type: 'reset'
      reason: 'tooOld' | 'unknownState'
      state: string
    }
  | {
      type: 'counts'
      posts: {
        id: string
        likeCount: number
        commentCount: number
      }[]
    }
  | {
      type: 'comments'
      postId: string
      comments: Comment[]
      removes: string[]
    }
  | {
      type: 'feed'
      feed: 'all' | 'following'
      newer: number
    }
  | {
      type: 'ok'
      ref?: string
      state: string
      unreadCount: number
      unseenCount: number
    }
  | {
      type: 'error'
      ref?: string
      code: string
      message: string
    }
  | {
      type: 'pong'
    }
