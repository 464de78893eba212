import assert from 'node:assert/strict'
import { api } from './counted.ts'
import { listOf, PASSWORD, refused, signUp } from './session.ts'

/** What two people do on a server, by nothing but the client generated from its document. Throws where the server differs. */
export async function runStory(baseUrl: string): Promise<void> {
  api.defaults.baseUrl = baseUrl
  const ana = await signUp('ana', 'Ana')
  const ben = await signUp('ben', undefined)

  const { user } = await api.postAuthSignin({ login: 'ana@example.org', password: PASSWORD })
  assert.deepEqual({ ...user, createdAt: '' }, { ...ana.user, createdAt: '' })
  const me = await api.getAuthMe(ana.token)
  assert.deepEqual([me.email, me.role, me.displayName], ['ana@example.org', 'user', 'Ana'])
  await refused(409, 'USERNAME_TAKEN', signUp('ana', undefined))
  await refused(401, 'BAD_CREDENTIALS', api.postAuthSignin({ login: 'ana', password: 'a wrong one' }))
  await refused(401, 'UNAUTHENTICATED', api.getAuthMe())

  assert.deepEqual(await api.postUsersByIdFollow(ana.user.id, ben.token), { following: true })
  assert.equal((await api.getUsersById(ana.user.id, ben.token)).viewer.following, true)
  await refused(422, 'CANNOT_FOLLOW_SELF', api.postUsersByIdFollow(ben.user.id, ben.token))

  const once = { idempotencyKey: 'the-first-post' }
  const post = await api.postPosts({ body: 'Hello' }, once, ana.token)
  assert.equal((await api.postPosts({ body: 'Hello' }, once, ana.token)).id, post.id)
  assert.equal(post.author.username, 'ana')
  assert.deepEqual(await api.postPostsByIdLike(post.id, ben.token), { liked: true, likeCount: 1 })
  assert.equal((await api.postPostsByIdLike(post.id, ben.token)).liked, true)
  const comment = await api.postPostsByIdComment(post.id, { body: 'Well said' }, {}, ben.token)
  const reply = await api.postPostsByIdComment(post.id, { body: 'Thanks', parentId: comment.id }, {}, ana.token)
  assert.equal(reply.parentId, comment.id)
  const { items: comments, nextCursor } = await api.getPostsByIdComments(post.id, { limit: 1 }, ana.token)
  assert.deepEqual([comments.map(({ id }) => id), nextCursor], [[comment.id], null])
  const feed = await api.getPosts({ scope: 'following' }, ben.token)
  assert.deepEqual(
    feed.items.map(({ id, viewer }) => [id, viewer.liked]),
    [[post.id, true]],
  )
  await refused(403, 'NOT_AUTHOR', api.deletePostsById(post.id, ben.token))
  await refused(404, 'POST_NOT_FOUND', api.getPostsById('999999', ben.token))

  const inbox = await listOf(ana.token, 3)
  assert.deepEqual(inbox.items.map(({ type }) => type).sort(), ['comment.created', 'post.liked', 'user.followed'])
  assert.ok(inbox.items.every(({ actors, actorCount }) => actorCount === 1 && actors[0]?.id === ben.user.id))
  const [newest] = inbox.items
  assert.ok(newest)
  const read = await api.patchNotificationsByIdRead(newest.id, ana.token)
  assert.equal(read.unreadCount, 2)
  assert.ok(read.notification.readAt !== null && read.notification.deliveredAt !== null)
  const changes = await api.getNotificationsChanges(inbox.state, undefined, ana.token)
  assert.deepEqual([changes.upserts.map(({ id }) => id), changes.to], [[newest.id], read.state])
  const all = await api.patchNotificationsMarkAllRead({}, ana.token)
  assert.deepEqual([all.updated, all.unreadCount], [2, 0])
  await refused(404, 'NOTIFICATION_NOT_FOUND', api.getNotificationsById(newest.id, ben.token))
  await refused(403, 'FORBIDDEN', api.getAdminDeadLetters(undefined, ana.token))

  const next = await api.postAuthRefresh({ refreshToken: ana.refreshToken })
  const { refreshToken } = await api.postAuthRefresh({ refreshToken: next.refreshToken })
  await refused(401, 'REFRESH_TOKEN_REUSED', api.postAuthRefresh({ refreshToken: ana.refreshToken }))
  await refused(401, 'BAD_REFRESH_TOKEN', api.postAuthRefresh({ refreshToken }))
  await api.postAuthSignout({ refreshToken: ben.refreshToken }, ben.token)
  await refused(401, 'BAD_REFRESH_TOKEN', api.postAuthRefresh({ refreshToken: ben.refreshToken }))
}
