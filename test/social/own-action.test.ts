import { Type } from '@sinclair/typebox'
import t from 'tap'
import { inTransaction } from '../../src/db/transaction.ts'
import { Actions, defineAction } from '../../src/notify/actions.ts'
import { dispatchWith } from '../../src/notify/dispatch/dispatch.ts'
import { appendEventPerRow, appendRetractions } from '../../src/notify/outbox/append.ts'
import { Dispatcher } from '../../src/notify/outbox/dispatcher.ts'
import { Id } from '../../src/protocol/id.ts'
import { makePost } from '../notify/dispatch/events.ts'
import { startNode } from '../push/node.ts'

/** The example of docs/architecture.md: columns over (post_id, user_id, author_id). */
const repost = defineAction({
  name: 'repost',
  columns: {
    sourceId: `'repost:' || post_id || ':' || user_id`,
    type: `'post.reposted'`,
    recipientId: 'author_id',
    actorId: 'user_id',
    objectType: `'post'`,
    objectId: 'post_id::text',
    threadKey: `'post:' || post_id`,
    groupKey: `'post.reposted:' || post_id`,
    data: `jsonb_build_object('postId', post_id::text)`,
  },
  data: Type.Object({ postId: Id }),
  counters: () => [],
  objects: ({ postId }) => [`post:${postId}`],
})

const write = `
  with reposted as (
    insert into social.reposts (post_id, user_id) values ($1, $2) on conflict do nothing returning post_id, user_id
  )
  ${appendEventPerRow({
    action: repost,
    retracts: false,
    from: 'reposted join social.posts p on p.id = post_id',
    requestId: 'null',
  })}`

const taken = {
  action: repost,
  ctes: `gone as (delete from social.reposts where post_id = $1 and user_id = $2 returning post_id, user_id)`,
  from: 'gone join social.posts p on p.id = post_id',
}

t.test('a new action needs a descriptor, a statement and a type, and reaches the socket', async (t) => {
  const { app, user } = await startNode(t)
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(user))
  if (!ana || !ben || !cem) throw new Error('three users are needed')
  await app.pool.query(`
    create table social.reposts (post_id bigint, user_id bigint, primary key (post_id, user_id));
    insert into notify.types (type, social, title, url)
    values ('post.reposted', true, '{count, plural, one {{first}} other {{first} and {second}}} reposted your post', '/posts/{postId}')`)
  const consumers = { notifications: dispatchWith(app.types, new Actions([repost])), counters: async () => [] }
  const dispatch = () => new Dispatcher(app.pool, app.log, consumers, () => {}).run()
  const postId = await makePost(app, ana.id)
  const socket = await ana.connect()
  await socket.next('synced')

  for (const { id } of [ben, cem, cem]) await app.pool.query(write, [postId, id])
  await dispatch()
  const grown = await socket.next('changes')
  t.match(grown, { unreadCount: 1, removes: [] })
  t.match(grown.upserts, [
    { type: 'post.reposted', title: 'cem and ben reposted your post', actorCount: 2, url: `/posts/${postId}` },
  ])

  for (const { id } of [cem, ben])
    await inTransaction(app.pool, (client) => appendRetractions(client, taken, [postId, id]))
  await dispatch()
  t.match(await socket.next('changes'), { unreadCount: 0, removes: [grown.upserts[0]?.id] })

  await app.pool.query(write, [postId, cem.id])
  await app.pool.query('update social.posts set deleted_at = now() where id = $1', [postId])
  await dispatch()
  const { rows } = await app.pool.query('select decision from notify.sources where source_id = $1', [
    `repost:${postId}:${cem.id}`,
  ])
  t.same(rows, [{ decision: 'object_gone' }], 'nobody is notified of an action on a deleted post')
})
