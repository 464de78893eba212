import type { Comment, Notification, Preferences } from 'ravenpost-client'
import type { AuthSession, Me, Media, Post, PushBrowser, User, WhatIf } from './answers.ts'
import type { Session } from './session.ts'

export type Page<T> = { items: T[]; nextCursor: string | null }
export type UserList = 'followers' | 'following' | 'friends'

export type From = 'mixed' | 'followers' | 'strangers'
/** Settings for groups of one type of notification of a post, and the current group. */
export type Gathering = {
  type: string
  instantThreshold: number
  windowSeconds: number
  jitter: number
  /** Numbers of people shown and of people who wait for the window, and its end. */
  delivered: number
  waiting: number
  flushesAt: string | null
}
export type Simulation = { likes: Gathering; comments: Gathering }

/** All calls of the app except those about the inbox, which the client makes. */
export function createApi({ request }: { request: Session['request'] }) {
  const list =
    <T>(path: string) =>
    (cursor?: string | null) =>
      request<Page<T>>('GET', withQuery(path, { cursor: cursor ?? undefined }))
  return {
    me: () => request<Me>('GET', '/auth/me'),
    changeMe: (
      change: Partial<Pick<Me, 'email' | 'username' | 'locale' | 'timeZone'>> & { currentPassword?: string },
    ) => request<Me>('PATCH', '/auth/me', change),
    changePassword: (currentPassword: string, password: string) =>
      request<void>('PUT', '/auth/password', { currentPassword, password }),
    resendVerification: () => request<void>('POST', '/auth/verify-email/resend', {}),
    sessions: list<AuthSession>('/auth/sessions'),
    endSession: (id: string) => request<void>('DELETE', `/auth/sessions/${id}`),
    deleteAccount: (id: string, currentPassword: string) =>
      request<void>('DELETE', `/users/${id}`, { currentPassword }),

    user: (id: string) => request<User>('GET', `/users/${id}`),
    userByName: (username: string) => request<User>('GET', `/users/by-name/${encodeURIComponent(username)}`),
    users: (id: string, which: UserList) => list<User>(`/users/${id}/${which}`),
    searchUsers: (q: string, limit?: number) => list<User>(withQuery('/users/search', { q, limit })),
    editProfile: (id: string, change: Partial<Pick<User, 'displayName' | 'bio' | 'avatarMediaId'>>) =>
      request<User>('PATCH', `/users/${id}`, change),
    follow: (id: string, follow: boolean) => request<void>('POST', `/users/${id}/${follow ? 'follow' : 'unfollow'}`),
    bell: (id: string, enabled: boolean) => request<void>('PUT', `/users/${id}/bell`, { enabled }),
    block: (id: string, block: boolean) => request<void>(block ? 'PUT' : 'DELETE', `/users/${id}/block`),
    mute: (id: string, seconds: number | null) =>
      request<void>('PUT', `/users/${id}/mute`, seconds === null ? {} : { seconds }),
    unmute: (id: string) => request<void>('DELETE', `/users/${id}/mute`),
    silenced: (which: 'blocked' | 'muted') => list<User>(`/users/${which}`),

    posts: (scope: 'all' | 'following') => list<Post>(withQuery('/posts', { scope })),
    postsOf: (userId: string) => list<Post>(withQuery('/posts', { scope: 'user', userId })),
    searchPosts: (q: string) => list<Post>(withQuery('/posts/search', { q })),
    bookmarks: list<Post>('/bookmarks'),
    post: (id: string) => request<Post>('GET', `/posts/${id}`),
    createPost: (body: string, mediaIds: string[], key: string) =>
      request<Post>('POST', '/posts', mediaIds.length > 0 ? { body, mediaIds } : { body }, key),
    editPost: (id: string, body: string) => request<Post>('PATCH', `/posts/${id}`, { body }),
    deletePost: (id: string) => request<void>('DELETE', `/posts/${id}`),
    like: (id: string, like: boolean) =>
      request<{ liked: boolean; likeCount: number }>(like ? 'POST' : 'DELETE', `/posts/${id}/like`),
    likers: (id: string) => list<User>(`/posts/${id}/likes`),
    bookmark: (id: string, on: boolean) => request<void>(on ? 'PUT' : 'DELETE', `/posts/${id}/bookmark`),
    muteThread: (id: string, on: boolean) => request<void>(on ? 'PUT' : 'DELETE', `/posts/${id}/mute`),
    comments: (postId: string, parentId?: string) =>
      list<Comment>(withQuery(`/posts/${postId}/comments`, { parentId })),
    comment: (postId: string, body: string, parentId: string | undefined, key: string) =>
      request<Comment>('POST', `/posts/${postId}/comment`, parentId ? { body, parentId } : { body }, key),
    editComment: (id: string, body: string) => request<Comment>('PATCH', `/comments/${id}`, { body }),
    deleteComment: (id: string) => request<void>('DELETE', `/comments/${id}`),
    upload(file: File) {
      const form = new FormData()
      form.append('file', file)
      return request<Media>('POST', '/media/upload', form)
    },

    browsers: list<PushBrowser>('/push/subscriptions'),
    removeBrowser: (id: string) => request<void>('DELETE', `/push/subscriptions/${id}`),
    whatIf: (preferences: Preferences, days = 30) =>
      request<WhatIf>('POST', '/notifications/preferences/what-if', { preferences, days }),
    actors: (id: string) => list<User>(`/notifications/${id}/actors`),
    notification: (id: string) => request<Notification>('GET', `/notifications/${id}`),

    simulation: (postId: string) => request<Simulation>('GET', `/demo/posts/${postId}/simulate`),
    simulate: (
      postId: string,
      what: { likes?: number; comments?: number; follows?: number; from: From },
      key: string,
    ) => request<Simulation>('POST', `/demo/posts/${postId}/simulate`, what, key),
    removeSimulated: () => request<{ removed: number }>('DELETE', '/demo/simulated-users'),
    notify: (userId: string, kind: 'critical' | 'send') => request<void>('POST', '/demo/notify', { userId, kind }),
  }
}
export type Api = ReturnType<typeof createApi>

function withQuery(path: string, query: Record<string, string | number | undefined>): string {
  const url = new URLSearchParams(path.split('?')[1])
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.set(name, String(value))
  const text = url.toString()
  return text ? `${path.split('?')[0]}?${text}` : path
}
