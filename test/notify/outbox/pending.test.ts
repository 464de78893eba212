import t from 'tap'
import { retries } from '../../../src/base/metrics.ts'
import { MAX_ATTEMPTS } from '../../../src/notify/outbox/pending.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'

/** A like that names no post: neither the counters nor the inbox can make anything of it. */
const poison = `insert into notify.outbox (action, counted, source_id, type, recipient_id, actor_id, data)
  values ('like', true, 'like:none:1', 'post.liked', $1, $1, '{"postId": "none"}')`

async function pendingRows({ pool }: TestSystem) {
  const { rows } = await pool.query<{ id: string; consumer: string; attempts: number; dead: boolean }>(
    'select id, consumer, attempts, dead_at is not null as dead from notify.pending order by consumer',
  )
  return rows
}

t.test('an invalid event is set aside alone, ends as a dead letter, and can be replayed', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const posts = await Promise.all(Array.from({ length: 40 }, (_, i) => ana.post(`post ${i}`)))
  await Promise.all(posts.slice(0, 20).map((post) => ben.like(post.id)))
  await system.pool.query(poison, [ana.id])
  await Promise.all(posts.slice(20).map((post) => ben.like(post.id)))
  const { startWorker } = await import('../../../src/worker/start.ts')
  const { tasks } = await import('../../../workers/index.ts')
  const worker = await startWorker(system.app, tasks)
  t.teardown(() => worker.close())

  await eventually(async () => (await pendingRows(system)).length === 2)
  await eventually(async () => (await system.pool.query('select from ops.lag having sum(events) = 0')).rowCount)
  const { rows } = await system.pool.query('select count(*)::int as n from notify.notifications where user_id = $1', [
    ana.id,
  ])
  t.same(rows, [{ n: 40 }], 'its neighbours went on')

  await system.pool.query('update notify.pending set attempts = $1, due_at = now()', [MAX_ATTEMPTS - 1])
  await eventually(async () => (await pendingRows(system)).every((row) => row.dead))
  t.match(await pendingRows(system), [{ consumer: 'counters', attempts: MAX_ATTEMPTS }, { consumer: 'notifications' }])
  const { values } = await retries.get()
  for (const consumer of ['counters', 'notifications'])
    t.ok(
      values.some(({ labels, value }) => labels.consumer === consumer && value >= 1),
      `attempts of ${consumer} are counted`,
    )
  const { rows: letters } = await system.pool.query('select id, last_error, source_id from ops.dead_letters')
  t.match(letters, [{ source_id: 'like:none:1', last_error: /./ }, { last_error: /./ }])

  await system.pool.query(
    `update notify.pending set event = jsonb_set(event, '{data,postId}', to_jsonb($1::text)) - 'none' || jsonb_build_object('actorId', $2::text)`,
    [posts[0]?.id, ben.id],
  )
  for (const { id } of letters) await system.pool.query('select notify.replay_dead_letter($1)', [id])
  await settled(system)
  t.same(await pendingRows(system), [])
})

for (const code of ['P0001', '42501', 'XX001'])
  t.test(`an event that fails alone is set aside for any error: ${code}`, async (t) => {
    const system = await setup(t, { worker: true, windowSeconds: 0 })
    const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
    await system.pool.query(
      `create function public.refuse() returns trigger language plpgsql as $$ begin
         if new.user_id = ${ana.id} and new.type = 'post.liked' then raise 'not this one' using errcode = '${code}'; end if;
         return new;
       end $$;
       create trigger refuse before insert on notify.notifications for each row execute function public.refuse();
       update notify.positions set shard_from = 0, shard_to = 31 where consumer = 'notifications' and lane = 0;
       delete from notify.positions where consumer = 'notifications' and lane between 1 and 3`,
    )
    const [bad, good] = [await ana.post('bad'), await ben.post('good')]
    await Promise.all([cem.like(bad.id), cem.like(good.id), cem.follow(ana.id)])
    await eventually(async () => {
      const { rows } = await system.pool.query<{ type: string }>('select type from notify.notifications order by type')
      return rows.map(({ type }) => type).join() === 'post.liked,user.followed'
    })
    const pending = () => system.pool.query('select source_id, last_error from ops.pending')
    // It is set aside in a transaction of its own, after its neighbours.
    await eventually(async () => (await pending()).rowCount)
    t.same((await pending()).rows, [{ source_id: `like:${bad.id}:${cem.id}`, last_error: 'not this one' }])
  })

t.test('a locked inbox delays neither its lane nor other users, and loses nothing', async (t) => {
  const system = await setup(t, { worker: true })
  const people = await Promise.all(Array.from({ length: 6 }, (_, i) => system.as(`user${i}`)))
  const [held, liker, ...others] = people
  if (!held || !liker) throw new Error('nobody signed up')
  const [mine, ...theirs] = await Promise.all([held, ...others].map((author) => author.post('hello')))
  const holder = await system.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [held.id])
  await liker.like(String(mine?.id))
  for (const post of theirs) await liker.like(post.id)
  await eventually(async () => {
    const { rows } = await system.pool.query('select count(*)::int as n from notify.notifications')
    return rows[0]?.n === theirs.length
  })
  await eventually(async () => (await pendingRows(system)).length === 1)
  await holder.query('rollback')
  holder.release()
  t.match(await inboxOf(system, 'user0'), [{ type: 'post.liked', actors: 'user1' }])
  await noDrift(t, system)
})

for (const [times, actions] of [
  ['once', ['like', 'unlike', 'like']],
  ['not at all', ['like', 'unlike']],
] as const)
  t.test(`${actions.join(', ')}, the first failing and retried late: notified ${times}`, async (t) => {
    const system = await setup(t, { worker: true })
    const [ana, ben] = [await system.as('ana'), await system.as('ben')]
    const post = await ana.post('hello')
    const holder = await system.pool.connect()
    await holder.query('begin')
    await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
    await ben.like(post.id)
    await eventually(async () => (await pendingRows(system)).length === 1)
    await system.pool.query(`update notify.pending set due_at = now() + interval '1 hour'`)
    await holder.query('rollback')
    holder.release()
    for (const action of actions.slice(1)) await (action === 'like' ? ben.like(post.id) : ben.unlike(post.id))
    await eventually(async () => (await system.pool.query('select from ops.lag having sum(events) = 0')).rowCount)
    await system.pool.query('update notify.pending set due_at = now()')
    t.equal((await inboxOf(system, 'ana')).length, times === 'once' ? 1 : 0)
    await noDrift(t, system)
  })
