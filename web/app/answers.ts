// Made by `npm run client-types` from the schemas of the server; not edited by hand.

import type { Actor } from 'ravenpost-client'

export type Relation = {
  /** The caller follows this user */
  following: boolean
  /** This user follows the caller */
  followedBy: boolean
  /** Each new post of this user notifies the caller */
  bell: boolean
  /** The caller blocks this user */
  blocked: boolean
  /** The caller mutes this user */
  muted: boolean
}

export type User = {
  /** Decimal id, opaque to clients */
  id: string
  username: string
  displayName: string
  bio: string
  /** Picture, at /media/{id}/stream */
  avatarMediaId: string | null
  /** URL of a picture hosted by another application, used when avatarMediaId is null */
  avatarUrl?: string
  /** Users who follow this user */
  followerCount: number
  /** Users whom this user follows */
  followingCount: number
  postCount: number
  createdAt: string
  /** Relation of the caller to this user */
  viewer: Relation
}

export type Me = User & {
  /** Null: unknown, of a user of another application */
  email: string | null
  /** Whether the user confirmed the address */
  emailVerified: boolean
  /** Address that replaces email once it is verified */
  pendingEmail: string | null
  /** Rights below /admin; user: none */
  role: 'user' | 'reader' | 'operator' | 'admin'
  /** BCP 47 tag, for example pt-BR */
  locale: string | null
  /** IANA time zone, for example Europe/Berlin */
  timeZone: string | null
}

export type Mention = {
  /** Id of the user */
  id: string
  /** Current username; the text contains the username at the time of writing */
  username: string
  /** Start of the mention (the @), in UTF-16 code units, as in JavaScript strings */
  start: number
  /** End of the mention, exclusive, in UTF-16 code units, as in JavaScript strings */
  end: number
}

export type Media = {
  /** The file is at /media/{id}/stream */
  id: string
  /** By its content */
  mime: string
  /** Bytes */
  size: number
  /** Pixels of an image as displayed; absent when its header does not contain them */
  width?: number
  /** Pixels of an image as displayed; absent when its header does not contain them */
  height?: number
  /** Alternative text for people who cannot see it */
  alt?: string
}

export type Post = {
  id: string
  author: Actor
  body: string
  /** Users named with @username in the text */
  mentions: Mention[]
  /** At most 4, in the order of the author */
  media: Media[]
  likeCount: number
  /** Comments and replies */
  commentCount: number
  createdAt: string
  /** Time of the last edit */
  updatedAt: string
  /** What the caller did with it */
  viewer: {
    liked: boolean
    bookmarked: boolean
    muted: boolean
  }
}

export type AuthSession = {
  /** Decimal id, opaque to clients */
  id: string
  /** Of the sign-in; empty when the client sent none */
  userAgent: string
  createdAt: string
  lastUsedAt: string
  expiresAt: string
  /** Whether this request uses it */
  current: boolean
}

export type PushBrowser = {
  /** First 22 characters of the SHA-256 of the endpoint in base64url */
  id: string
  /** Host of the push service */
  host: string
  createdAt: string
  /** Decimal id, opaque to clients */
  sessionId: string
  /** Whether it belongs to the session of this request */
  current: boolean
}

export type WhatIf = {
  days: number
  /** Notifications of these days for which the decision was repeated, at most 2000 */
  notifications: number
  /** Notifications for which the decision changes in at least one channel */
  differs: number
  types: Record<string, {
    inApp: {
      before: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
      after: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
    }
    email: {
      before: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
      after: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
    }
    webPush: {
      before: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
      after: {
        allow?: number
        silent?: number
        filter?: number
        suppress?: number
        defer?: number
      }
    }
  }>
}
