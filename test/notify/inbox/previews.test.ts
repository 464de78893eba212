import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { App } from '../../../src/app.ts'
import { inTransaction } from '../../../src/db/transaction.ts'
import { dispatchWith } from '../../../src/notify/dispatch/dispatch.ts'
import { runFanOuts } from '../../../src/notify/fan-outs/run.ts'
import { eventColumns, type OutboxEvent } from '../../../src/notify/outbox/event.ts'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import { actions } from '../../../src/social/actions.ts'
import { block, unblock } from '../../../src/social/blocks/write.ts'
import { deleteComment, editComment } from '../../../src/social/comments/write.ts'
import { editPost } from '../../../src/social/posts/write.ts'
import { allFanOuts } from '../../../src/worker/context.ts'
import type { TestClient } from '../../client.ts'
import { settled } from '../../settled.ts'
import { setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'
import { uploaded } from '../../social/media/files.ts'
import { createComment, createPost } from '../../social/posts/write.ts'
import { inboxApp, makeUsers } from '../dispatch/events.ts'
import { catchUp, emptyHand, foldedItems, listedItems } from '../dispatch/fold-client.ts'

const list = async (system: TestSystem, who: TestClient, query = '') => {
  await settled(system)
  return (await who.get(`/notifications${query}`)).items
}

t.test('a notification shows the beginning and the first picture of its post or comment', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  await cem.request('PUT', `/users/${ana.id}/bell`, { enabled: true })
  const pictures = [await uploaded(system.url, ana), await uploaded(system.url, ana)]
  const long = `Look, @ben: ${'word '.repeat(100)}`
  const { body: post } = await ana.request('POST', '/posts', { body: long, mediaIds: pictures })
  const body = long.slice(0, 196).trimEnd()
  const data = { postId: post.id, mediaId: pictures[0] }
  t.match(await list(system, ben), [
    { type: 'user.mentioned', body, data, fallback: `ana mentioned you in a post: ${body}` },
  ])
  t.match(await list(system, cem), [{ type: 'post.published', body, data }])

  await ben.like(post.id)
  t.match(await list(system, ana), [{ type: 'post.liked', body, data }])
  const first = await ben.comment(post.id, 'First')
  const second = await cem.comment(post.id, 'Second, for @ben')
  t.match(await list(system, ana), [{ type: 'comment.created', body: 'Second, for @ben', actorCount: 2 }, {}])
  t.match((await list(system, ben))[0], { type: 'user.mentioned', body: 'Second, for @ben' })
  await ana.comment(post.id, 'A reply', first.id)
  t.match((await list(system, ben))[0], { type: 'comment.replied', body: 'A reply' })

  t.test("editing a post changes the notification's text and nothing else", async (t) => {
    const [before] = await list(system, ana)
    const { state } = await ana.get('/notifications/unread-count')
    await cem.request('PATCH', `/comments/${second.id}`, { body: 'Second thoughts' })
    const [after] = await list(system, ana)
    t.same(after, { ...before, body: 'Second thoughts', fallback: `${before.title}: Second thoughts` })
    const changes = await ana.get(`/notifications/changes?since=${state}`)
    t.match(changes, { upserts: [{ id: before.id, body: 'Second thoughts' }], unreadCount: 2 })
    t.equal(changes.upserts.length, 1)
    t.match((await list(system, ben))[1], { type: 'user.mentioned', body: 'Second thoughts' }, 'whoever is shown it')

    await ana.request('PATCH', `/posts/${post.id}`, { body: 'Short' })
    for (const [who, type] of [
      [ana, 'post.liked'],
      [cem, 'post.published'],
      [ben, 'user.mentioned'],
    ] as const) {
      const shown = (await list(system, who)).filter((one: { type: string; data: object }) => one.type === type)
      t.match(shown.at(-1), { body: 'Short', data }, type)
    }
    const quiet = await ana.get('/notifications/unread-count')
    await cem.request('PATCH', `/comments/${first.id}`, { body: 'x' })
    await ana.request('PATCH', `/posts/${post.id}`, { body: 'Short' })
    await settled(system)
    t.same(await ana.get('/notifications/unread-count'), quiet, 'what nobody sees changes nothing')
  })

  t.test('a group shows its next latest comment when the latest is deleted', async (t) => {
    await cem.request('DELETE', `/comments/${second.id}`)
    const [group] = await list(system, ana)
    t.match(group, {
      body: 'First',
      actorCount: 1,
      data: { commentId: first.id },
      url: `/posts/${post.id}#comment-${first.id}`,
    })
    t.same(group.data, { postId: post.id, commentId: first.id })
    t.match(
      (await list(system, ben)).map(({ type }: { type: string }) => type),
      ['comment.replied', 'user.mentioned'],
    )
  })

  t.test('texts of blocked users disappear, and texts of filtered strangers never show', async (t) => {
    const third = await cem.comment(post.id, 'Something rude')
    t.match((await list(system, ana))[0], { body: 'Something rude' })
    await ana.request('PUT', `/users/${cem.id}/block`)
    t.match((await list(system, ana))[0], { body: 'First', actors: [{ username: 'ben' }] })
    t.notMatch(JSON.stringify(await list(system, ana)), 'rude')
    await ana.request('DELETE', `/users/${cem.id}/block`)
    await ana.request('PUT', '/notifications/preferences', { policy: { strangers: 'filter' } })
    await cem.comment(post.id, 'Something worse')
    t.match(await list(system, ana, '?filter=filtered'), [
      { type: 'comment.created', body: null, data: { mediaId: undefined } },
    ])
    t.match((await list(system, ana))[0], { body: 'First' })
    // As while the rest of a large inbox is still being cleared of a blocked user.
    await system.pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ben.id, ana.id])
    t.match((await ana.get('/notifications')).items[0], { body: null }, `${third.id} and all that a block hides`)
  })

  t.test('the data of a send is not used as preview', async (t) => {
    await system.pool.query(`select notify.emit('shop.paid', array[$1::bigint], 's', 'Paid', data => $2)`, [
      cem.id,
      { postId: post.id, commentId: first.id },
    ])
    t.match((await list(system, cem))[0], { type: 'shop.paid', body: null })
  })
})

t.test('an edit does not wait for a locked inbox, which changes once it is unlocked', async (t) => {
  const app = await inboxApp(t)
  const [me = '', ana = '', ben = ''] = await makeUsers(app, ['Me', 'Ana', 'Ben'])
  await app.pool.query(`update social.users set username = 'user_' || id`)
  const actor = { userId: me, requestId: 'r' }
  const post = await createPost(app, actor, `@user_${ana} @user_${ben} one`)
  for (const userId of [ana, ben]) await applyShuffled(app, userId, 1)
  const holder = await app.pool.connect()
  t.teardown(() => holder.release())
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana])
  await editPost(app, actor, post.id, 'two')
  const modseqs = async () =>
    (await app.pool.query('select modseq from notify.inbox where user_id = any($1) order by user_id', [[ana, ben]]))
      .rows
  await runFanOuts(app, allFanOuts)
  t.same(await modseqs(), [{ modseq: '1' }, { modseq: '2' }])
  await holder.query('rollback')
  await app.pool.query('update notify.fan_outs set due_at = now()')
  await runFanOuts(app, allFanOuts)
  t.same(await modseqs(), [{ modseq: '2' }, { modseq: '2' }])
  t.equal((await app.pool.query('select from notify.fan_outs where finished_at is null')).rowCount, 0)
})

const someone = fc.nat(2)
const text = fc.constantFrom('one', 'two', 'x'.repeat(300), `${'y '.repeat(100)}1`, `${'y '.repeat(100)}2`)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('comment'), actor: someone, text, reply: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('edit'), pick: fc.nat(), text }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete'), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('edit post'), text }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('block', 'unblock'), actor: someone }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('dispatch'), seed: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('flush') }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

t.test(
  'a group shows the current text of its latest comment, in any order of events, and devices are notified',
  async (t) => {
    const app = await inboxApp(t)
    await app.pool.query(`update notify.types set instant_threshold = 1 where type = 'comment.replied'`)

    const play = async (steps: Step[]) => {
      const [me = '', ...actors] = await makeUsers(app, ['Me', 'Ana', 'Ben', 'Cem'])
      const actor = (userId: string | undefined) => ({ userId: String(userId), requestId: 'r' })
      const post = await createPost(app, actor(me), 'post')
      const parent = await createComment(app, actor(me), { postId: post.id, parentId: null, body: 'parent' })
      const comments: { id: string; by: string }[] = []
      const blocked = new Set<string>()
      const held = emptyHand()
      const perform = async (now: Step): Promise<unknown> => {
        const by = actors['actor' in now ? now.actor : 0] ?? ''
        const picked = comments[('pick' in now ? now.pick : 0) % Math.max(comments.length, 1)]
        if (now.kind === 'dispatch' && 'seed' in now) return applyShuffled(app, me, now.seed)
        if (now.kind === 'flush') return flushAll(app)
        if (now.kind === 'edit post' && 'text' in now) return editPost(app, actor(me), post.id, now.text)
        if (now.kind === 'block') return blocked.add(by) && block(app, { userId: me, otherId: by, requestId: 'r' })
        if (now.kind === 'unblock') return blocked.delete(by) && unblock(app, me, by)
        if (now.kind === 'comment' && 'reply' in now && !blocked.has(by)) {
          const parentId = now.reply ? parent.id : null
          const { id } = await createComment(app, actor(by), { postId: post.id, parentId, body: now.text })
          return comments.push({ id, by })
        }
        if (!picked || blocked.has(picked.by)) return
        if (now.kind === 'edit' && 'text' in now) return editComment(app, actor(picked.by), picked.id, now.text)
        if (now.kind === 'delete') {
          comments.splice(comments.indexOf(picked), 1)
          return deleteComment(app, actor(picked.by), picked.id)
        }
      }
      for (const now of [...steps, { kind: 'dispatch', seed: 1 }, { kind: 'flush' }] as Step[]) {
        await perform(now)
        await runFanOuts(app, allFanOuts)
        await catchUp(app, me, held, 3)
        const items = await listedItems(app, me)
        assert.deepEqual(foldedItems(held), items)
        assert.deepEqual(shownIn(items), await latestOf(app, me))
      }
    }

    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), play), {
      numRuns: sized(60, 20),
      examples: [],
    })
  },
)

/** Each group of comments, and the beginning of its preview. */
function shownIn(items: object[]): [string, string | null][] {
  return (items as { id: string; type: string; body: string | null }[])
    .filter(({ type }) => type.startsWith('comment.'))
    .map(({ id, body }) => [id, body])
}

/** The same from the comments themselves: the highest of those that are behind the notification. All cuts of these texts are known. */
async function latestOf(app: App, userId: string): Promise<[string, string | null][]> {
  const { rows } = await app.pool.query<{ id: string; body: string }>(
    `select n.id, (select case when length(c.body) <= 200 then c.body when c.body like 'x%' then left(c.body, 200) else rtrim(left(c.body, 199)) end
                   from social.comments c join notify.sources s on s.source_id = 'comment:' || c.id
                   where s.user_id = n.user_id and s.notification_id = n.id and s.live and c.deleted_at is null
                   order by c.id desc limit 1) as body
     from notify.notifications n where n.user_id = $1 and n.type like 'comment.%' order by n.id`,
    [userId],
  )
  return rows.map(({ id, body }) => [id, body])
}

/** Applies the events of one user that were not applied yet, in any order and in batches of two, as retries may. */
async function applyShuffled(app: App, userId: string, seed: number): Promise<void> {
  const { rows } = await app.pool.query<OutboxEvent>(
    `select ${eventColumns} from notify.outbox o where recipient_id = $1
       and not exists (select from notify.sources s where s.user_id = $1 and s.source_id = o.source_id and s.event_id >= o.id)
     order by md5(o.id || $2::text)`,
    [userId, String(seed)],
  )
  const apply = dispatchWith(app.types, actions)
  for (let at = 0; at < rows.length; at += 2)
    await inTransaction(app.pool, (client) => apply(client, rows.slice(at, at + 2), 'wait'))
}

async function flushAll(app: App): Promise<void> {
  await app.pool.query('update notify.windows set due_at = now()')
  await flushWindows(app)
}
