import t from 'tap'
import { acknowledge } from '../../../src/notify/inbox/acknowledge.ts'
import { changesSince } from '../../../src/notify/inbox/changes.ts'
import { getNotification, listNotifications, readCounts } from '../../../src/notify/inbox/list.ts'
import { archive, markRead, markSeen, markUnread, remove, resolveUpTo } from '../../../src/notify/inbox/mark.ts'
import { formatState } from '../../../src/protocol/changes.ts'
import { drift, fillInbox, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'
import { catchUp, emptyHand } from '../dispatch/fold-client.ts'

t.test('reading marks as delivered, closes the group and uses one state; reading again uses none', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['Ana', 'Ben', 'Cem'])
  const postId = await makePost(app, ana)
  await like(app, { postId, actorId: ben, recipientId: ana })
  const [item] = (await listNotifications(app, ana, { filter: 'all', limit: 20 })).items
  t.match(item, { title: 'Ben liked your post', url: `/posts/${postId}`, seen: false, readAt: null, deliveredAt: null })

  const first = await markRead(app, ana, { ids: [item?.id ?? ''] })
  t.match(first, { updated: 1, unreadCount: 0, unseenCount: 0, modseq: 2 })
  t.match(await markRead(app, ana, { ids: [item?.id ?? ''] }), { updated: 0, unreadCount: 0, modseq: 2 })
  const read = await getNotification(app, ana, item?.id ?? '')
  t.ok(read.readAt)
  t.ok(read.seen, 'what is read counts as seen')
  t.equal(read.deliveredAt, read.readAt, 'read implies delivered')
  t.equal(read.updatedAt, item?.updatedAt, 'reading is no growth')

  t.match(await markUnread(app, ana, { ids: [read.id] }), { unreadCount: 1, unseenCount: 1 })
  await like(app, { postId, actorId: cem, recipientId: ana })
  const after = await listNotifications(app, ana, { filter: 'unread', limit: 20 })
  t.same(
    after.items.map((n) => n.title),
    ['Cem liked your post', 'Ben liked your post'],
    'a group that was read stays closed',
  )
})

t.test(
  'a notification that grew later has a later updatedAt, also within one batch and after the clock was set back',
  async (t) => {
    const app = await inboxApp(t)
    const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['Ana', 'Ben', 'Cem'])
    const posts = [await makePost(app, ana), await makePost(app, ana), await makePost(app, ana)]
    const likesOf = (actorId: string) => posts.map((postId) => ({ postId, actorId, recipientId: ana }))
    const times = async () =>
      (await listNotifications(app, ana, { filter: 'all', limit: 20 })).items.map(({ updatedAt }) => updatedAt)
    const inOrder = async () => t.same(await times(), [...new Set(await times())].sort().reverse())

    await like(app, ...likesOf(ben))
    await inOrder()
    await app.pool.query(`update notify.inbox set grown_at = now() + '1 hour' where user_id = $1`, [ana])
    const before = await times()
    await like(app, ...likesOf(cem).reverse())
    await inOrder()
    t.ok((await times()).every((time) => time > String(before[0])))
  },
)

t.test('a removed notification leaves a tombstone, and its sources do not recreate it', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = ''] = await makeUsers(app, ['Ana', 'Ben'])
  const aLike = { postId: await makePost(app, ana), actorId: ben, recipientId: ana }
  await like(app, aLike)
  t.match(await remove(app, ana, { ids: ['1'] }), { updated: 1, unreadCount: 0, unseenCount: 0, modseq: 2 })
  const changes = (await changesSince(app, [{ userId: ana, since: 1, limit: 10 }])).get(ana)
  t.match(changes, { from: 1, to: 2, more: false, upserts: [], removes: ['1'] })
  const { rows } = await app.pool.query('select live, notified, notification_id, decision from notify.sources')
  t.same(rows, [{ live: false, notified: true, notification_id: null, decision: 'removed' }])
  await like(app, { ...aLike, retracts: true }, aLike)
  t.same((await listNotifications(app, ana, { filter: 'history', limit: 20 })).items, [])
  await t.rejects(getNotification(app, ana, '1'), { code: 'NOTIFICATION_NOT_FOUND' })
  t.same(await drift(app, [ana, ben]), [])
})

t.test('bulk changes run in chunks and end with the right counts', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['Ana'])
  const all = 2500
  await fillInbox(app, ana, all)
  t.match(await markRead(app, ana, { upTo: 1200 }), { updated: 1200, unreadCount: 1300, modseq: all + 1200 })
  t.match(await markSeen(app, ana, all), { updated: 1300, unseenCount: 0, modseq: all + 1200 + 1300 })
  t.match(await markSeen(app, ana, all), { updated: 0 }, 'the watermark never moves twice')
  t.match(await archive(app, ana, { upTo: 1100 }), { updated: 1100, unreadCount: 1300 })
  t.match(await remove(app, ana, { upTo: all }), { updated: 1400, unreadCount: 0 }, 'what is archived stays')
  t.equal((await readCounts(app.pool, ana)).unreadCount, 0)
  t.same(await drift(app, [ana]), [])
  const held = emptyHand()
  await catchUp(app, ana, held, 400)
  t.equal(held.items.size, 1100)
})

t.test('a cursor stays valid while its items are read and new ones arrive', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = ''] = await makeUsers(app, ['Ana', 'Ben'])
  await fillInbox(app, ana, 7)
  const first = await listNotifications(app, ana, { filter: 'all', limit: 3 })
  await markRead(app, ana, { ids: ['7', '3', '2'] })
  await like(app, { postId: await makePost(app, ana), actorId: ben, recipientId: ana })
  const second = await listNotifications(app, ana, { filter: 'all', limit: 3, cursor: first.nextCursor ?? '' })
  const third = await listNotifications(app, ana, { filter: 'all', limit: 3, cursor: second.nextCursor ?? '' })
  const ids = [...first.items, ...second.items, ...third.items].map((n) => n.id)
  t.same(ids, ['7', '6', '5', '4', '3', '2', '1'])
  t.equal(third.nextCursor, null)
  await t.rejects(listNotifications(app, ana, { filter: 'all', limit: 3, cursor: 'x' }), { code: 'BAD_CURSOR' })
})

t.test(
  "an acknowledgement delivers everything up to its state, uses no state, and is capped at the inbox's state",
  async (t) => {
    const app = await inboxApp(t)
    const [ana = '', ben = ''] = await makeUsers(app, ['Ana', 'Ben'])
    await fillInbox(app, ana, 5)
    await fillInbox(app, ben, 3)
    const acknowledgements = [
      { userId: ben, modseq: 1000 },
      { userId: ana, modseq: 3 },
      { userId: ana, modseq: 2 },
    ]
    await acknowledge(app.pool, acknowledgements, 'soon')
    const pending = async (userId: string) =>
      (await listNotifications(app, userId, { filter: 'pending', limit: 20 })).items.map((n) => n.id)
    t.same(await pending(ana), ['5', '4'])
    t.same(await pending(ben), [])
    const changes = await changesSince(app, [
      { userId: ana, since: 5, limit: 10 },
      { userId: ben, since: 0, limit: 10 },
    ])
    t.match(changes.get(ana), { modseq: 5, to: 5, ackedModseq: 3, upserts: [] })
    t.match(changes.get(ben), { modseq: 3, to: 3, ackedModseq: 3 })
    t.equal(changes.get(ben)?.upserts.length, 3)
  },
)

t.test('filtered notifications appear only in their own list, not in changes or counts', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['Ana'])
  await fillInbox(app, ana, 3)
  await app.pool.query(
    'update notify.notifications set filtered = true, filter_reason = $2 where user_id = $1 and id = 2',
    [ana, 'strangers'],
  )
  await app.pool.query('update notify.inbox set unread_count = 2, unseen_count = 2 where user_id = $1', [ana])
  const list = async (filter: 'all' | 'filtered' | 'history') =>
    (await listNotifications(app, ana, { filter, limit: 20 })).items.map((n) => n.id)
  t.same([await list('all'), await list('filtered'), await list('history')], [['3', '1'], ['2'], ['3', '1']])
  const held = emptyHand()
  await catchUp(app, ana, held, 1)
  t.same([...held.items.keys()], ['1', '3'])
  t.match(await markRead(app, ana, { ids: ['2'] }), { updated: 1, unreadCount: 2, unseenCount: 2 })
  t.match(await markSeen(app, ana, 3), { updated: 2, unseenCount: 0 })
  t.same(await drift(app, [ana]), [])
})

t.test('states of another epoch or of the future are refused', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['Ana'])
  await fillInbox(app, ana, 3)
  const epoch = (await readCounts(app.pool, ana)).state.split('.')[0] ?? ''
  t.equal(await resolveUpTo(app.pool, ana, undefined), 3)
  t.equal(await resolveUpTo(app.pool, ana, formatState(epoch, 2)), 2)
  t.equal(await resolveUpTo(app.pool, ana, formatState(epoch, 9), 'cut'), 3)
  for (const state of [formatState(epoch, 4), 'other.1', 'nonsense', '', `${epoch}.-1`, `${epoch}.01`])
    await t.rejects(resolveUpTo(app.pool, ana, state), { code: 'BAD_STATE' }, state)
})

t.test('a request to a locked inbox is answered with "busy"', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['Ana'])
  await fillInbox(app, ana, 1)
  const holder = await app.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana])
  await t.rejects(markRead(app, ana, { ids: ['1'] }), { code: 'INBOX_BUSY', status: 503, retryAfter: 1 })
  await holder.query('rollback')
  holder.release()
  t.match(await markRead(app, ana, { ids: ['1'] }), { updated: 1 })
})
