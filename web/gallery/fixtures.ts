import type { Actor, Comment, InboxItem, PreferencesAnswer, Why } from 'ravenpost-client'
import type { Post, User, WhatIf } from '../app/answers.ts'
import type { Gathering } from '../app/api.ts'

/** What the gallery shows: the same at every visit, but for times that count from now. */
const before = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
const after = (minutes: number) => before(-minutes)

export const people: [Actor, Actor, Actor] = [
  { id: '1', username: 'ana', displayName: 'Ana Silva', avatarMediaId: null },
  { id: '2', username: 'ben', displayName: 'Ben Okafor', avatarMediaId: null, avatarUrl: 'icon.svg' },
  { id: '3', username: 'cleo', displayName: 'Cleo', avatarMediaId: null, avatarUrl: 'data:image/png;base64,none' },
]
const [ana, ben, cleo] = people

const viewer = { following: false, followedBy: false, bell: false, blocked: false, muted: false }
export const users: User[] = people.map((person, place) => ({
  ...person,
  bio: '',
  followerCount: 3,
  followingCount: 2,
  postCount: 1,
  createdAt: before(100_000),
  viewer: { ...viewer, following: place === 1, followedBy: place === 2 },
}))

let lastId = 0
function item(changes: Partial<InboxItem>): InboxItem {
  lastId += 1
  const at = before(lastId * 7)
  return {
    id: String(lastId),
    type: 'post.liked',
    priority: 'normal',
    severity: 'info',
    title: 'Ben Okafor liked your post',
    body: null,
    url: '/posts/1',
    data: {},
    actors: [ben],
    actorCount: 1,
    object: { type: 'post', id: '1' },
    groupKey: null,
    fallback: 'Ben Okafor liked your post',
    createdAt: at,
    updatedAt: at,
    deliveredAt: at,
    readAt: null,
    archivedAt: null,
    expiresAt: after(100_000),
    seen: false,
    silent: false,
    ...changes,
  }
}

const read = { readAt: before(1), seen: true }
export const items: InboxItem[] = [
  item({ body: 'Good morning from the harbour' }),
  item({ actors: [cleo, ben, ana], actorCount: 5, body: 'Good morning from the harbour' }),
  item({ type: 'comment.created', body: 'What a view! Where is that?', pending: true }),
  item({ type: 'user.mentioned', silent: true, body: 'Ask @ana, she knows', updatedAt: before(60 * 30) }),
  item({ type: 'user.followed', url: '/users/3', actors: [cleo], ...read }),
  item({ type: 'post.published', data: { mediaId: '0' }, body: 'A picture', ...read, archivedAt: before(1) }),
  item({
    type: 'system',
    actors: [],
    actorCount: 0,
    priority: 'critical',
    severity: 'error',
    title: 'Somebody tried to sign in as you',
    body: 'From a browser that you have not used before.',
    url: null,
  }),
  item({
    type: 'invoice.ready',
    actors: [],
    actorCount: 0,
    title: 'An-invoice-with-a-name-without-a-single-space-that-is-longer-than-any-row-is-wide-2026-11',
    body: null,
    ...read,
  }),
]

export const post: Post = {
  id: '1',
  author: ana,
  body: 'Good morning from the harbour, @ben\nhttps://example.org/harbour',
  media: [],
  mentions: [{ id: '2', username: 'ben', start: 31, end: 35 }],
  likeCount: 12,
  commentCount: 3,
  createdAt: before(42),
  updatedAt: before(42),
  viewer: { liked: true, bookmarked: false, muted: false },
}
export const posts: Post[] = [
  post,
  {
    ...post,
    id: '2',
    author: ben,
    body: 'Edited, and of somebody else',
    mentions: [],
    likeCount: 0,
    commentCount: 0,
    updatedAt: before(3),
    viewer: { liked: false, bookmarked: true, muted: true },
  },
]

const comment = (id: string, changes: Partial<Comment>): Comment => {
  const at = before(20)
  return {
    id,
    postId: '1',
    parentId: null,
    author: ben,
    body: '',
    mentions: [],
    replyCount: 0,
    createdAt: at,
    updatedAt: at,
    ...changes,
  }
}
export const comments: Comment[] = [
  comment('1', { body: 'What a view! Where is that?', replyCount: 1 }),
  comment('2', { author: ana, body: 'My own, edited', updatedAt: before(2) }),
  comment('3', {}),
]
export const replies: Comment[] = [comment('4', { parentId: '1', author: ana, body: 'At the harbour.' })]

const gathering = (changes: Partial<Gathering>): Gathering => ({
  type: 'post.liked',
  instantThreshold: 3,
  windowSeconds: 120,
  jitter: 0,
  delivered: 3,
  waiting: 5,
  flushesAt: after(2),
  ...changes,
})
export const simulation = {
  likes: gathering({}),
  comments: gathering({ type: 'comment.created', instantThreshold: 0, delivered: 12, waiting: 0, flushesAt: null }),
}

const on = (decidedBy: string) => ({ enabled: true, decidedBy })
const off = (decidedBy: string) => ({ enabled: false, decidedBy })
export const preferences: PreferencesAnswer = {
  preferences: {
    types: { 'post.liked': { inApp: true } },
    channels: { inApp: true, email: false, webPush: true },
    policy: { strangers: 'filter' },
    dnd: {
      enabled: true,
      timeZone: 'Europe/Berlin',
      windows: [{ days: [1, 2, 3, 4, 5], from: '22:00', to: '07:00' }],
    },
    snoozeUntil: after(50),
  },
  effective: {
    'post.liked': { inApp: on('typePreference'), email: off('channelPreference'), webPush: off('typeDefault') },
    'comment.created': { inApp: on('typeDefault'), email: off('channelPreference'), webPush: on('typeDefault') },
    'security.alert': { inApp: on('critical'), email: on('critical'), webPush: on('critical') },
  },
}

export const why: Why = {
  decisions: [
    { channel: 'inApp', decision: 'allow', decidedBy: 'typeDefault', reason: 'default', until: null, at: before(5) },
    { channel: 'email', decision: 'suppress', decidedBy: 'channelPreference', reason: '', until: null, at: before(5) },
    { channel: 'webPush', decision: 'defer', decidedBy: 'dnd', reason: '', until: after(300), at: before(5) },
  ],
  deliveries: [
    {
      channel: 'webPush',
      target: 'push.example.org',
      state: 'waiting',
      reason: null,
      attempts: 1,
      lastError: 'timeout',
      updatedAt: before(4),
    },
  ],
}

const same = { before: { allow: 4 }, after: { allow: 4 } }
export const whatIf: WhatIf = {
  days: 30,
  notifications: 9,
  differs: 4,
  types: {
    'post.liked': { inApp: { before: { allow: 4 }, after: { filter: 3, silent: 1 } }, email: same, webPush: same },
  },
}
