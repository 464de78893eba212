import fc from 'fast-check'
import t from 'tap'
import type { App } from '../../../src/app.ts'
import { countWith } from '../../../src/notify/counters.ts'
import { dispatchWith } from '../../../src/notify/dispatch/dispatch.ts'
import { consumeBatch } from '../../../src/notify/outbox/consume.ts'
import { actions } from '../../../src/social/actions.ts'
import { sized } from '../../size.ts'
import { inboxApp, makePost, makeUsers } from '../dispatch/events.ts'

const BATCH_SIZES = [1, 7, 100, 1000]
const AUTHORS = 2
const ACTORS = 5
const POSTS = 3

/** A random like, follow or undo. Users and posts are chosen by their position. */
const action = fc.record({
  kind: fc.constantFrom('like', 'follow'),
  retracts: fc.boolean(),
  actor: fc.nat(ACTORS - 1),
  object: fc.nat(POSTS - 1),
})
type Action = { kind: string; retracts: boolean; actor: number; object: number }
type World = { authors: string[]; actors: string[]; posts: string[] }

t.setTimeout(300_000)

t.test('the result does not depend on how events are split into batches', async (t) => {
  const app = await inboxApp(t)
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 2, maxLength: 40 }), async (actions) => {
      const results: unknown[] = []
      for (const size of BATCH_SIZES) {
        const world = await makeWorld(app)
        for (const action of actions) await write(app, world, action)
        await drain(app, size)
        results.push(await outcome(app, world))
      }
      for (const result of results)
        if (JSON.stringify(result) !== JSON.stringify(results[0]))
          throw new Error(JSON.stringify([results[0], result], null, 1))
    }),
    { numRuns: sized(10, 5) },
  )
  t.pass('the same notifications, sources and counts with batches of 1, 7, 100 and 1,000')
})

async function makeWorld(app: App): Promise<World> {
  const names = (count: number, kind: string) => Array.from({ length: count }, (_, i) => `${kind} ${i}`)
  const authors = await makeUsers(app, names(AUTHORS, 'Author'))
  const actors = await makeUsers(app, names(ACTORS, 'Actor'))
  const posts: string[] = []
  for (let i = 0; i < POSTS; i++) posts.push(await makePost(app, authors[i % AUTHORS] ?? ''))
  return { authors, actors, posts }
}

async function write(app: App, world: World, { kind, retracts, actor, object }: Action): Promise<void> {
  const [author, actorId, postId] = [world.authors[object % AUTHORS], world.actors[actor], world.posts[object]]
  const like = kind === 'like'
  const name = like ? `like:${postId}:${actorId}` : `follow:${actorId}:${author}`
  const group = like ? `post.liked:${postId}` : 'user.followed:2026-01-01'
  await app.pool.query(
    `insert into notify.outbox (counted, action, retracts, source_id, type, recipient_id, actor_id, object_type, object_id, group_key, data)
     values (true, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      kind,
      retracts,
      name,
      like ? 'post.liked' : 'user.followed',
      author,
      actorId,
      like ? 'post' : 'user',
      like ? postId : author,
      group,
      like ? { postId } : { followeeId: author },
    ],
  )
}

async function drain(app: App, size: number): Promise<void> {
  const consumers = { notifications: dispatchWith(app.types, actions), counters: countWith(actions) }
  const { rows } = await app.pool.query<{ consumer: 'notifications' | 'counters'; lane: number }>(
    'select consumer, lane from notify.positions',
  )
  for (const lane of rows)
    for (;;) {
      const result = await consumeBatch(app.pool, lane, consumers[lane.consumer], { limit: size, onBusy: 'wait' })
      if (result === 'held') throw new Error('nobody else should hold the lane')
      if (result.unfinished.length === 0) break
    }
}

/**
 * The inboxes and the stored decisions, with positions instead of ids. Modseqs are omitted, because they depend on the
 * batches.
 */
async function outcome(app: App, { authors, actors, posts }: World): Promise<unknown> {
  const { rows: notifications } = await app.pool.query(
    `select array_position($1::bigint[], user_id) as author, type, case when object_type = 'post' then array_position($3::text[], object_id) end as post,
       (select array_agg(array_position($2::bigint[], a) order by place) from unnest(actor_ids) with ordinality k (a, place)) as actors,
       actor_count, closed_at is null as open
     from notify.notifications where user_id = any($1::bigint[]) order by user_id, grown_modseq desc`,
    [authors, actors, posts],
  )
  const { rows: sources } = await app.pool.query(
    `select array_position($1::bigint[], s.user_id) as author, array_position($2::bigint[], actor_id) as actor,
       split_part(source_id, ':', 1) as kind, case when source_id like 'like:%' then array_position($3::text[], split_part(source_id, ':', 2)) end as post,
       live, notified, decision, n.type
     from notify.sources s left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
     where s.user_id = any($1::bigint[]) order by 1, 2, 3, 4`,
    [authors, actors, posts],
  )
  const { rows: counts } = await app.pool.query(
    `select array_position($1::bigint[], user_id) as author, unread_count, unseen_count, follower_count,
       (select array_agg(like_count order by p.id) from social.posts p where author_id = user_id) as likes
     from notify.inbox join social.users u on u.id = user_id where user_id = any($1::bigint[]) order by 1`,
    [authors],
  )
  return { notifications, sources, counts }
}
