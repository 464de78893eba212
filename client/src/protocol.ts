// Made by `npm run client-types` from the schemas of the server; not edited by hand.

export type Actor = {
  id: string
  username: string
  displayName: string
  avatarMediaId: string | null
  /** URL of a picture hosted by another application, used when avatarMediaId is null */
  avatarUrl?: string
}

export type Notification = {
  /** Unique within the inbox */
  id: string
  /** Such as post.liked; more types may come */
  type: string
  priority: 'critical' | 'high' | 'normal' | 'low'
  severity: 'info' | 'success' | 'warning' | 'error'
  /** In the language of the user, at most 200 characters */
  title: string
  /** The sent text, or the beginning of the post or comment */
  body: string | null
  /** A path of the app, or http(s) */
  url: string | null
  /** Ids by type; for a send, the sent data */
  data: Record<string, unknown>
  /** Users behind it, latest first */
  actors: Actor[]
  /** Number of distinct users behind it */
  actorCount: number
  /** What it is about */
  object: {
    type: string
    id: string
  } | null
  /** Notifications of one key are one while its group is open */
  groupKey: string | null
  /** Plain text for clients that do not know the type */
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
  /** State of an inbox, <epoch>.<n> */
  from: string
  /** State of an inbox, <epoch>.<n> */
  to: string
  more: boolean
  upserts: Notification[]
  removes: string[]
  unreadCount?: number
  unseenCount?: number
}

export type NotificationPage = {
  items: Notification[]
  nextCursor: string | null
  unreadCount: number
  unseenCount: number
  /** State of an inbox, <epoch>.<n> */
  state: string
}

export type Counts = {
  unreadCount: number
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
  updated: number
  unreadCount: number
  unseenCount: number
  /** State of an inbox, <epoch>.<n> */
  state: string
}

export type Preferences = {
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
  channels?: {
    inApp?: boolean
    email?: boolean
    webPush?: boolean
  }
  policy?: {
    strangers?: 'accept' | 'filter' | 'drop'
  }
  dnd?: {
    enabled: boolean
    /** IANA zone, for example Europe/Berlin */
    timeZone: string
    windows: {
      days: number[]
      from: string
      to: string
    }[]
  }
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
  effective: Record<string, {
    inApp: {
      enabled: boolean
      decidedBy: string
    }
    email: {
      enabled: boolean
      decidedBy: string
    }
    webPush: {
      enabled: boolean
      decidedBy: string
    }
  }>
}

export type Why = {
  decisions: {
    channel: string
    decision: 'allow' | 'suppress' | 'defer'
    decidedBy: string
    reason: string
    until: string | null
    at: string
  }[]
  deliveries: {
    channel: string
    target: string
    state: string
    reason: string | null
    attempts: number
    lastError: string | null
    updatedAt: string
  }[]
}

export type Stats = {
  total: number
  byType: Record<string, number>
  unreadByType: Record<string, number>
  byPriority: Record<string, number>
  byState: {
    unread: number
    read: number
    unseen: number
    pending: number
    archived: number
    filtered: number
  }
}

export type Comment = {
  id: string
  postId: string
  parentId: string | null
  author: Actor
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
  replyCount: number
  createdAt: string
  updatedAt: string
}

export type PushSubscriptionBody = {
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
      /** State of an inbox, <epoch>.<n> */
      from: string
      /** State of an inbox, <epoch>.<n> */
      to: string
      more: boolean
      upserts: Notification[]
      removes: string[]
      unreadCount?: number
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
