import assert from 'node:assert/strict'
import { api } from './counted.ts'
import { listOf, PASSWORD, refused, signUp, type Token, tokenOf } from './session.ts'

const ids = ({ items }: { items: { id: string }[] }) => items.map(({ id }) => id)
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const POINT = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'

/** The calls that the story of two people has no use for, by the generated client alone. Throws where the server differs. */
export async function callTheRest(baseUrl: string, admin: { login: string }): Promise<void> {
  api.defaults.baseUrl = baseUrl
  const cem = await signUp('cem', 'Cem')
  const dot = await signUp('dot', 'Dot')
  const root = tokenOf((await api.postAuthSignin({ ...admin, password: PASSWORD })).accessToken)
  await people(cem, dot)
  await posts(cem, dot)
  await inbox(cem, dot, root)
  await services(cem, root)
  await account(dot)
  await webhooks(cem, root)
  await operation(cem, root)
  await api.deleteUsersById(cem.user.id, { currentPassword: PASSWORD }, cem.token)
  await refused(404, 'USER_NOT_FOUND', api.getUsersById(cem.user.id, dot.token))
}

type Person = Awaited<ReturnType<typeof signUp>>

async function people({ user: cem, token }: Person, dot: Person): Promise<void> {
  const { id } = dot.user
  assert.equal((await api.patchUsersById(cem.id, { bio: 'Hello' }, token)).bio, 'Hello')
  assert.deepEqual(ids(await api.getUsersSearch('do', {}, token)), [id])
  await api.postUsersByIdFollow(id, token)
  await api.postUsersByIdFollow(cem.id, dot.token)
  for (const list of [api.getUsersByIdFollowers, api.getUsersByIdFollowing, api.getUsersByIdFriends])
    assert.deepEqual(ids(await list(cem.id, {}, token)), [id])
  assert.equal((await api.getUsersByNameByUsername('Dot', token)).id, id)
  assert.deepEqual(await api.putUsersByIdBell(id, { enabled: true }, token), { bell: true })
  await api.putUsersByIdMute(id, { seconds: 60 }, token)
  assert.deepEqual((await api.getUsersById(id, token)).viewer, {
    following: true,
    followedBy: true,
    bell: true,
    blocked: false,
    muted: true,
  })
  assert.deepEqual(ids(await api.getUsersMuted({}, token)), [id])
  await api.deleteUsersByIdMute(id, token)
  assert.deepEqual(await api.postUsersByIdUnfollow(id, token), { following: false })
  await api.putUsersByIdBlock(id, token)
  assert.equal((await api.getUsersById(id, token)).viewer.blocked, true)
  assert.deepEqual(ids(await api.getUsersBlocked({}, token)), [id])
  await api.deleteUsersByIdBlock(id, token)
  await refused(403, 'WRONG_PASSWORD', api.putAuthPassword({ currentPassword: 'x', password: PASSWORD }, token))
  const sessions = await api.getAuthSessions({}, token)
  assert.deepEqual(
    sessions.items.map(({ current }) => current),
    [true],
  )
  await refused(404, 'SESSION_NOT_FOUND', api.deleteAuthSessionsById('999999', token))
}

async function posts({ user, token }: Person, dot: Person): Promise<void> {
  const file = new Blob([Buffer.from(PIXEL, 'base64')])
  const media = await api.postMediaUpload({ file, alt: 'A pixel' }, { idempotencyKey: 'pixel' }, token)
  assert.deepEqual([media.mime, media.size], ['image/png', file.size])
  const post = await api.postPosts({ body: 'Look', mediaIds: [media.id] }, {}, token)
  const { sha256: _, ...shown } = media
  assert.deepEqual(post.media, [{ ...shown, width: 1, height: 1, alt: 'A pixel' }])
  assert.ok(await api.getMediaByIdStream(media.id))
  assert.equal((await api.patchPostsById(post.id, { body: 'Look here' }, token)).body, 'Look here')
  assert.deepEqual(ids(await api.getPosts({ scope: 'user', userId: user.id }, dot.token)), [post.id])
  assert.deepEqual(ids(await api.getPostsSearch('look', {}, dot.token)), [post.id])
  await api.putPostsByIdBookmark(post.id, dot.token)
  await api.putPostsByIdMute(post.id, dot.token)
  await api.postPostsByIdLike(post.id, dot.token)
  assert.deepEqual(ids(await api.getPostsByIdLikes(post.id, {}, token)), [dot.user.id])
  const seen = await api.getPostsById(post.id, dot.token)
  assert.deepEqual(seen.viewer, { liked: true, bookmarked: true, muted: true })
  assert.deepEqual(ids(await api.getBookmarks({}, dot.token)), [post.id])
  await api.deletePostsByIdBookmark(post.id, dot.token)
  await api.deletePostsByIdMute(post.id, dot.token)
  assert.equal((await api.deletePostsByIdLike(post.id, dot.token)).liked, false)
  const { id } = await api.postPostsByIdComment(post.id, { body: 'Fine' }, {}, dot.token)
  assert.equal((await api.patchCommentsById(id, { body: 'Very fine' }, dot.token)).body, 'Very fine')
  await api.deleteCommentsById(id, dot.token)
  assert.deepEqual(ids(await api.getPostsByIdComments(post.id, {}, token)), [])
  await api.deletePostsById(post.id, token)
  await refused(404, 'POST_NOT_FOUND', api.getPostsById(post.id, token))
}

async function inbox({ user, token }: Person, dot: Person, root: Token): Promise<void> {
  const { id: postId } = await api.postPosts({ body: 'Who likes this?' }, {}, dot.token)
  await listOf(dot.token, 0)
  const send = { recipientIds: [user.id, dot.user.id], title: 'Hello', message: 'All of you' }
  const { sendId, accepted } = await api.postNotificationsSendBatch('batch', send, root)
  assert.equal(accepted, 2)
  await api.postPostsByIdLike(postId, token)
  const { items, state } = await listOf(dot.token, 2)
  assert.deepEqual(items.map(({ type }) => type).sort(), ['post.liked', 'system'])
  const progress = await api.getNotificationsSendsBySendId(sendId, root)
  assert.equal(progress.total, 2)
  assert.deepEqual(ids(await api.getNotificationsPending({}, dot.token)), ids({ items }))
  await api.postNotificationsAck({ state }, dot.token)
  assert.deepEqual(ids(await api.getNotificationsPending({}, dot.token)), [])
  const [first, second] = ids({ items })
  assert.ok(first && second)
  const liked = items.find(({ type }) => type === 'post.liked')?.id ?? ''
  assert.deepEqual(ids(await api.getNotificationsByIdActors(liked, {}, dot.token)), [user.id])
  assert.ok((await api.getNotificationsByIdWhy(first, dot.token)).decisions.length > 0)
  assert.equal((await api.postNotificationsByIdRead(first, dot.token)).unreadCount, 1)
  assert.equal((await api.patchNotificationsByIdUnread(first, dot.token)).unreadCount, 2)
  assert.equal((await api.patchNotificationsByIdArchive(first, dot.token)).unreadCount, 1)
  assert.ok(ids(await api.getNotificationsHistory({}, dot.token)).includes(first))
  assert.equal((await api.patchNotificationsByIdUnarchive(first, dot.token)).unreadCount, 2)
  assert.equal((await api.postNotificationsSeen({ upTo: state }, dot.token)).unseenCount, 0)
  assert.equal((await api.postNotificationsRead({ ids: [first] }, dot.token)).updated, 1)
  assert.equal((await api.postNotificationsArchive({ ids: [first] }, dot.token)).updated, 1)
  assert.equal((await api.postNotificationsDelete({ ids: [first] }, dot.token)).updated, 1)
  assert.equal((await api.deleteNotificationsById(second, dot.token)).unreadCount, 0)
  assert.equal((await api.getNotificationsUnreadCount({ verify: true }, dot.token)).unreadCount, 0)
  assert.equal(
    (await api.getNotificationsStats(dot.token)).total,
    ids(await api.getNotifications({}, dot.token)).length,
  )
  const { preferences } = await api.putNotificationsPreferences({ channels: { email: false } }, dot.token)
  assert.deepEqual((await api.getNotificationsPreferences(dot.token)).preferences, preferences)
  const tried = { preferences: { channels: { inApp: false } } }
  assert.equal((await api.postNotificationsPreferencesWhatIf(tried, dot.token)).days, 30)
}

async function services({ user, token }: Person, root: Token): Promise<void> {
  const scopes = ['notifications:send', 'users:write'] as const
  const service = await api.postServiceTokens({ name: 'shop', scopes: [...scopes] }, root)
  assert.deepEqual(ids(await api.getServiceTokens({}, root)), [service.id])
  const send = { recipientId: user.id, title: 'Paid', message: '' }
  assert.equal((await api.postNotificationsSend('one', send, tokenOf(service.token))).accepted, 1)
  const shop = tokenOf(service.token)
  const own = await api.putUsersExternalByExternalId('ext-1', { displayName: 'Eva' }, shop)
  assert.equal(
    (await api.putUsersExternal({ users: [{ externalId: 'ext-1' }, { externalId: 'ext-2' }] }, shop)).created,
    1,
  )
  assert.equal((await api.getUsersExternalByExternalId('ext-1', shop)).id, own.id)
  await api.deleteUsersExternalByExternalId('ext-1', shop)
  await api.deleteServiceTokensById(service.id, root)
  await refused(401, 'UNAUTHENTICATED', api.postNotificationsSend('two', send, tokenOf(service.token)))
  assert.ok((await api.getPushVapidPublicKey()).publicKey)
  const browser = { endpoint: 'https://push.example.org/cem', keys: { p256dh: POINT, auth: 'a'.repeat(22) } }
  const { id } = await api.postPushSubscriptions(browser, {}, token)
  assert.deepEqual(ids(await api.getPushSubscriptions(token)), [id])
  await api.deletePushSubscriptionsById(id, token)
  await refused(400, 'BAD_TOKEN', api.postAuthVerifyEmail({ token: 'guess' }))
  await refused(400, 'BAD_TOKEN', api.getAuthVerifyEmail('guess'))
  await refused(400, 'BAD_TOKEN', api.getUnsubscribeByToken('guess'))
  await refused(400, 'BAD_TOKEN', api.postUnsubscribeByToken('guess', {}))
}

async function account({ user, token }: Person): Promise<void> {
  assert.equal((await api.patchAuthMe({ locale: 'de' }, token)).locale, 'de')
  assert.ok((await api.getAuthMeExport(token)).account)
  await api.postAuthVerifyEmailResend(token)
  await api.postAuthPasswordForgot({ login: user.username })
  assert.match(await api.getAuthPasswordReset('guess'), /<form/)
  await refused(400, 'BAD_TOKEN', api.postAuthPasswordReset({ token: 'guess', password: 'a new raven feather' }))
}

async function webhooks({ token }: Person, root: Token): Promise<void> {
  const hook = { url: 'https://shop.invalid/hooks', events: ['notification.created' as const] }
  await refused(403, 'FORBIDDEN', api.postWebhooks(hook, token))
  const { id, secret } = await api.postWebhooks(hook, root)
  assert.notEqual((await api.postWebhooksByIdRotateSecret(id, root)).secret, secret)
  assert.deepEqual(ids(await api.getWebhooks({}, root)), [id])
  const { deliveryId } = await api.postWebhooksByIdTest(id, {}, root)
  assert.deepEqual(ids(await api.getWebhooksByIdDeliveries(id, {}, root)), [deliveryId])
  assert.equal((await api.postWebhooksByIdDeliveriesByDeliveryIdRetry(id, deliveryId, {}, root)).event, 'webhook.test')
  // Whether the first attempt has failed by then is open.
  assert.ok((await api.postWebhooksByIdRecover(id, { since: '2026-01-01T00:00:00Z' }, root)).recovered <= 1)
  assert.equal((await api.patchWebhooksById(id, { enabled: false }, root)).disabledBecause, 'byHand')
  await refused(409, 'WEBHOOK_DISABLED', api.postWebhooksByIdTest(id, {}, root))
  assert.equal((await api.getWebhooksById(id, root)).enabled, false)
  await api.deleteWebhooksById(id, root)
  await refused(404, 'WEBHOOK_NOT_FOUND', api.getWebhooksById(id, root))
}

async function operation({ user, token }: Person, root: Token): Promise<void> {
  await refused(403, 'FORBIDDEN', api.getAdminDeadLetters({}, token))
  assert.deepEqual(ids(await api.getAdminDeadLetters({}, root)), [])
  await refused(404, 'DEAD_LETTER_NOT_FOUND', api.getAdminDeadLettersById('1', {}, root))
  await refused(404, 'DEAD_LETTER_NOT_FOUND', api.postAdminDeadLettersByIdReplay('1', {}, root))
  for (const read of [
    api.getAdminHistory,
    api.getAdminTables,
    api.getAdminLanes,
    api.getAdminLocks,
    api.getAdminInvariants,
  ])
    assert.ok((await read(root)).sql.milliseconds > 0)
  for (const read of [
    api.getAdminJobs,
    api.getAdminWorkers,
    api.getAdminWebhooks,
    api.getAdminBreakers,
    api.getAdminSettings,
    api.getAdminAdvice,
  ])
    assert.ok((await read({}, root)).sql.milliseconds > 0)
  assert.equal((await api.getAdminSystem(root)).failingLanes, 0)
  assert.deepEqual((await api.getAdminPending({}, root)).items, [])
  assert.deepEqual((await api.getAdminDeliveries({ show: 'finished' }, root)).items, [])
  assert.match(await api.getAdminPipelineStream({ ticks: 1 }, root), /^event: tick\ndata: \{/)
  assert.ok((await api.getAdminTablesByName('social.users', {}, root)).items.length > 1)
  assert.deepEqual(ids(await api.getAdminUsers(user.username, {}, root)), [user.id])
  assert.ok((await api.getAdminUsersByIdTimeline(user.id, {}, root)).items.length > 0)
  assert.ok((await api.getAdminUsersByIdExplain(user.id, {}, root)).items.length > 10)
  assert.equal((await api.getAdminUsersByIdBadge(user.id, root)).username, user.username)
  assert.match(await api.getAdminSqlByName('lanes', root), /ops\.lag/)
  assert.ok((await api.getAdminUsersByIdWhyNot('like:1:1', user.id, root)).steps.length > 0)
  assert.ok((await api.getAdminNotificationTypes({}, root)).items.some(({ type }) => type === 'post.liked'))
  assert.equal((await api.patchAdminNotificationTypesByType('post.liked', { jitter: 0.5 }, root)).jitter, 0.5)
  assert.ok((await api.getAdminAudit({ action: 'webhook.delete' }, root)).items.length > 0)
  assert.match(await api.getAdminAuditExport({ format: 'csv' }, root), /webhook.delete/)
  assert.deepEqual((await api.getAdminDeadLettersCauses({}, root)).items, [])
  assert.equal((await api.postAdminDeadLettersReplay({ upTo: '1' }, {}, root)).replayed, 0)
  await refused(404, 'DEAD_LETTER_NOT_FOUND', api.postAdminDeadLettersByIdDryRun('1', {}, root))
  assert.deepEqual((await api.getAdminTrace('unknown', {}, root)).events, [])
  await refused(404, 'NOTIFICATION_NOT_FOUND', api.getAdminTraceByUserIdByNotificationId('1', '999', {}, root))
  const roles = (await api.getAdminRoles({}, root)).items.map(({ role }) => role)
  assert.deepEqual(roles, ['admin'])
  const role = { role: 'reader' as const, currentPassword: PASSWORD }
  assert.deepEqual(await api.putAdminUsersByIdRole(user.id, role, root), { role: 'reader' })
  const draft = { name: 'News', content: { title: 'News' }, rule: { ids: [user.id] } }
  const news = await api.postAdminBroadcasts(draft, {}, root)
  const unwanted = await api.postAdminBroadcasts(draft, {}, root)
  assert.equal((await api.putAdminBroadcastsById(unwanted.id, { ...draft, name: 'Other' }, root)).name, 'Other')
  await api.deleteAdminBroadcastsById(unwanted.id, root)
  assert.deepEqual(ids(await api.getAdminBroadcasts({}, root)), [news.id])
  assert.equal((await api.postAdminBroadcastsByIdDryRun(news.id, {}, root)).shown, 1)
  assert.equal((await api.postAdminBroadcastsByIdTest(news.id, { userIds: [user.id] }, {}, root)).accepted, 1)
  await refused(409, 'BROADCAST_STATE', api.postAdminBroadcastsByIdPause(news.id, {}, root))
  await refused(409, 'BROADCAST_STATE', api.postAdminBroadcastsByIdResume(news.id, {}, root))
  await refused(409, 'BROADCAST_STATE', api.postAdminBroadcastsByIdRecall(news.id, {}, {}, root))
  assert.equal((await api.postAdminBroadcastsByIdSend(news.id, {}, root)).state, 'scheduled')
  assert.equal((await api.getAdminBroadcastsById(news.id, root)).name, 'News')
  assert.ok((await api.getAdminBroadcastsByIdRecipients(news.id, {}, root)).items.length <= 1)
  const other = await api.postAdminBroadcasts(draft, {}, root)
  assert.equal((await api.postAdminBroadcastsByIdCancel(other.id, {}, root)).state, 'cancelled')
  const segment = await api.postAdminSegments({ name: 'Germans', rule: { locale: 'de' } }, {}, root)
  assert.deepEqual(ids(await api.getAdminSegments({}, root)), [segment.id])
  assert.equal((await api.postAdminSegmentsEstimate({ rule: { ids: [user.id] } }, {}, root)).count, 1)
  assert.equal((await api.patchAdminSegmentsById(segment.id, { rule: { locale: 'en' } }, root)).name, 'Germans')
  assert.equal((await api.getAdminSegmentsById(segment.id, root)).id, segment.id)
  await api.deleteAdminSegmentsById(segment.id, root)
  const template = await api.postAdminTemplates(
    { name: 'Invoice', title: 'Invoice {number}', variables: { number: { type: 'number' } } },
    {},
    root,
  )
  assert.deepEqual(ids(await api.getAdminTemplates({}, root)), [template.id])
  assert.equal((await api.patchAdminTemplatesById(template.id, { title: 'Your invoice {number}' }, root)).version, 2)
  const preview = await api.postAdminTemplatesByIdPreview(template.id, { variables: { number: 7 } }, {}, root)
  assert.equal(preview.inApp.title, 'Your invoice 7')
  const question = { preferences: { channels: { inApp: false } } }
  assert.equal((await api.postAdminUsersByIdWhatIf(user.id, question, {}, root)).days, 30)
  const unsaved = { template: { title: 'Hello' } }
  assert.equal((await api.postAdminTemplatesPreview(unsaved, {}, root)).email.subject, 'Hello')
  assert.equal((await api.getAdminTemplatesById(template.id, root)).name, 'Invoice')
  await api.deleteAdminTemplatesById(template.id, root)
  assert.deepEqual(await api.getHealthz(), { alive: true })
  assert.equal((await api.getReadyz()).ready, true)
  assert.match(await api.getMetrics(), /ravenpost_/)
}
