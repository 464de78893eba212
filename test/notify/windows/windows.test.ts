import fc from 'fast-check'
import t from 'tap'
import { flushed, inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'

t.setTimeout(120_000)

const everybody = async (system: TestSystem, ...names: string[]) => Promise.all(names.map(system.as))

t.test('three likes arrive at once, the others in one update at the end of the window', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ...likers] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli', 'fay', 'gus')
  if (!ana) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  for (const liker of likers) await liker.like(post.id)
  t.match(await inboxOf(system, 'ana'), [{ actor_count: 3, actors: 'dia, cem, ben' }])
  const { rows } = await system.pool.query(
    'select extract(epoch from due_at - opened_at)::float8 as lasts from notify.windows',
  )
  t.equal(rows.length, 1)
  t.ok(rows[0].lasts >= 90 && rows[0].lasts <= 150, 'two minutes, a quarter more or less')
  const before = await ana.get('/notifications/unread-count')
  await flushed(system)
  t.match(await inboxOf(system, 'ana'), [{ actor_count: 6, actors: 'gus, fay, eli' }])
  const { state: since } = before as { state: string }
  t.match(await ana.get(`/notifications/changes?since=${since}`), {
    upserts: [{ actorCount: 6, title: 'gus, fay and 4 others liked your post' }],
    unreadCount: 1,
  })
  const numberOf = (state: string) => Number(state.split('.')[1])
  const after = (await ana.get('/notifications/unread-count')) as { state: string }
  t.equal(numberOf(after.state), numberOf(since) + 1, 'one change for all who waited')
  await noDrift(t, system)
})

t.test('comments are always grouped, and one deleted while it waits notifies nobody', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem] = await everybody(system, 'ana', 'ben', 'cem')
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const first = await ben.comment(post.id, 'first')
  const second = await cem.comment(post.id, 'second')
  t.same(await inboxOf(system, 'ana'), [], 'they wait')
  await cem.request('DELETE', `/comments/${second.id}`)
  await flushed(system)
  t.match(await inboxOf(system, 'ana'), [{ type: 'comment.created', actors: 'ben', actor_count: 1 }])
  t.match(await ana.get('/notifications'), { items: [{ url: `/posts/${post.id}#comment-${first.id}` }] })
  await cem.comment(post.id, 'third')
  await settled(system)
  await ana.request('DELETE', `/posts/${post.id}`)
  await flushed(system)
  t.same(await inboxOf(system, 'ana'), [], 'and nobody of a deleted post')
  await noDrift(t, system)
})

t.test('three replies arrive at once, the others in one update, and mentions never wait', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ...others] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli', 'fay')
  if (!ana) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const parent = await ana.comment(post.id, 'first')
  for (const other of others.slice(0, 4)) await other.comment(post.id, 'reply', parent.id)
  t.match(await inboxOf(system, 'ana'), [{ type: 'comment.replied', actors: 'dia, cem, ben', actor_count: 3 }])
  const mention = await others[4]?.comment(post.id, 'reply to @ana', parent.id)
  t.match(await inboxOf(system, 'ana'), [{ type: 'comment.replied', actors: 'fay, dia, cem', actor_count: 4 }])
  const [{ data }] = (await ana.get('/notifications')).items
  t.same(data, { postId: post.id, commentId: mention?.id, parentId: parent.id })
  await flushed(system)
  t.match(await inboxOf(system, 'ana'), [{ actor_count: 5 }])
  t.match((await ana.get('/notifications')).items[0].data, { commentId: mention?.id }, 'the latest, whoever waited')
  await noDrift(t, system)
})

t.test('waiting replies to a deleted comment notify nobody', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem, ...more] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli', 'fay')
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const parent = await ben.comment(post.id, 'first')
  for (const other of [cem, ...more]) await other.comment(post.id, 'reply', parent.id)
  await settled(system)
  await ben.request('DELETE', `/comments/${parent.id}`)
  await flushed(system)
  t.same(await inboxOf(system, 'ben'), [])
  await noDrift(t, system)
})

t.test('a send shows its text at once, whatever the window of its type', async (t) => {
  const system = await setup(t, { worker: true })
  await system.pool.query(`insert into notify.types (type, window_seconds) values ('shop.order', 60)`)
  const ana = await system.as('ana')
  await system.pool.query(
    `select notify.emit(type => 'shop.order', recipients => array[$1::bigint], source_id => 'order:1', title => 'Paid', group_key => 'orders')`,
    [ana.id],
  )
  await settled(system)
  t.match(await ana.get('/notifications'), { items: [{ type: 'shop.order', title: 'Paid' }] })
})

t.test('a window causes no update when all its actors took their action back', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = await everybody(system, 'ana', 'ben')
  if (!ana || !ben) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const comment = await ben.comment(post.id, 'first')
  await settled(system)
  await ben.request('DELETE', `/comments/${comment.id}`)
  await flushed(system)
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 0, state: /\.0$/ })
})

t.test('actors who wait when the group is read open the next group', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem, dia, eli] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli')
  if (!ana || !ben || !cem || !dia || !eli) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  for (const liker of [ben, cem, dia, eli]) await liker.like(post.id)
  await settled(system)
  await ana.request('PATCH', '/notifications/mark-all-read')
  await flushed(system)
  t.match(await inboxOf(system, 'ana'), [
    { actors: 'eli', actor_count: 1, read: false },
    { actors: 'dia, cem, ben', actor_count: 3, read: true },
  ])
  await noDrift(t, system)
})

t.test('waiting actors show at once when all shown ones took their action back', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem, dia, eli] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli')
  if (!ana || !ben || !cem || !dia || !eli) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  for (const liker of [ben, cem, dia, eli]) await liker.like(post.id)
  await settled(system)
  for (const liker of [ben, cem, dia]) await liker.unlike(post.id)
  await eventually(async () => (await inboxOf(system, 'ana'))[0]?.actors === 'eli', 5)
  await noDrift(t, system)
})

t.test("an actor whom the recipient follows raises the group's priority and is listed first", async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem, dia, eli] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli')
  if (!ana || !ben || !cem || !dia || !eli) throw new Error('nobody signed up')
  await ana.follow(ben.id)
  await ana.follow(eli.id)
  const post = await ana.post('hello')
  for (const liker of [cem, ben, dia]) await liker.like(post.id)
  await settled(system)
  t.match(await ana.get('/notifications'), {
    items: [{ priority: 'high', title: 'ben, dia and 1 other liked your post' }],
  })
  await eli.like(post.id)
  await flushed(system)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'eli, ben, dia' }])
  for (const liker of [eli, ben]) await liker.unlike(post.id)
  await settled(system)
  t.match(await ana.get('/notifications'), { items: [{ priority: 'low', title: 'dia and cem liked your post' }] })
  await noDrift(t, system)
})

t.test('for any actions, everybody is in exactly one shown count', async (t) => {
  const system = await setup(t, { worker: true })
  await system.pool.query(`update notify.types set max_group_size = 4 where type = 'post.liked'`)
  const [ana, ...likers] = await everybody(system, 'ana', 'ben', 'cem', 'dia', 'eli', 'fay', 'gus')
  if (!ana) throw new Error('nobody signed up')
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('like' as const), who: fc.nat(likers.length - 1) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('unlike' as const), who: fc.nat(likers.length - 1) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), who: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const), who: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), who: fc.constant(0) }) },
  )
  const run = async (steps: { kind: 'like' | 'unlike' | 'read' | 'flush' | 'settle'; who: number }[]) => {
    const post = await ana.post('hello')
    const likes = new Set<number>()
    const inGroup = new Set<number>()
    for (const { kind, who } of steps) {
      if (kind === 'like') await likers[who]?.like(post.id)
      if (kind === 'unlike') await likers[who]?.unlike(post.id)
      if (kind === 'like') likes.add(who)
      if (kind === 'unlike') likes.delete(who)
      if (kind === 'read') await ana.request('PATCH', '/notifications/mark-all-read')
      if (kind === 'flush') await flushed(system)
      if (kind === 'settle') await settled(system)
      if (kind === 'flush') for (const each of likes) inGroup.add(each)
    }
    await flushed(system)
    const { rows } = await system.pool.query<{ actor_id: string; parts: number; waiting: number }>(
      `select s.actor_id, count(*) filter (where s.live)::int as parts, count(*) filter (where s.waits_for is not null)::int as waiting
       from notify.sources s where s.user_id = $1 and s.source_id like $2 group by s.actor_id`,
      [ana.id, `like:${post.id}:%`],
    )
    for (const { actor_id: actorId, parts, waiting } of rows) {
      const who = likers.findIndex((liker) => liker.id === actorId)
      if (waiting !== 0) throw new Error(`${actorId} still waits`)
      if (parts > (likes.has(who) ? 1 : 0)) throw new Error(`${actorId} is in ${parts} counts`)
    }
    const drift = await system.pool.query('select * from ops.count_drift')
    if (drift.rows.length > 0) throw new Error(JSON.stringify(drift.rows))
    const shown = new Set(rows.filter((row) => row.parts === 1).map((row) => row.actor_id))
    for (const who of likes)
      if (
        !inGroup.has(who) &&
        !shown.has(likers[who]?.id ?? '') &&
        (await firstTime(system, ana.id, `like:${post.id}:${likers[who]?.id}`))
      )
        throw new Error(`${likers[who]?.username} likes it and is nowhere`)
  }
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), run), {
    numRuns: sized(12, 5),
    endOnFailure: true,
  })
})

/** Whether the source was never shown: then nothing excuses its absence. */
async function firstTime({ pool }: TestSystem, userId: string, sourceId: string): Promise<boolean> {
  const { rows } = await pool.query('select notified from notify.sources where user_id = $1 and source_id = $2', [
    userId,
    sourceId,
  ])
  return !rows[0]?.notified
}
