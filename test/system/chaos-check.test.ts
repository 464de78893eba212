import t from 'tap'
import { check } from '../../faults/load/check.ts'
import { Load } from '../../faults/load/load.ts'
import { Random } from '../../faults/load/random.ts'
import { makeWorld } from '../../faults/load/world.ts'
import { likeBatch } from '../../src/social/likes/write.ts'
import { eventually, setup } from '../setup.ts'

/** People with a post each, and a load that offers nothing: the actions are the test's own. */
async function quietWorld(t: Parameters<typeof setup>[0], options: Parameters<typeof setup>[1]) {
  const system = await setup(t, { windowSeconds: 0, ...options })
  const world = await makeWorld(system, 3, 3)
  const load = new Load({ world, ports: [], random: new Random(1), rate: 0 })
  await load.stop()
  const [author, liker] = world.members
  const [postId] = world.posts
  if (!author || !liker || !postId) throw new Error('nobody was born')
  const like = () => likeBatch(system.pool, [{ postId, userId: liker.id, requestId: 'late' }])
  return { ...system, world, load, author, like }
}

t.test('a like that commits during the check is not reported as lost', async (t) => {
  const { pool, world, load, like } = await quietWorld(t, {})
  const holder = await pool.connect()
  await holder.query('begin; lock table social.comments in access exclusive mode')
  const checking = check(pool, world, load, [], 10)
  await eventually(async () => {
    const { rows } = await pool.query(
      `select from pg_locks where not granted and relation = 'social.comments'::regclass and mode = 'AccessShareLock'`,
    )
    return rows.length > 0
  })
  await like()
  await holder.query('commit')
  holder.release()
  t.same(await checking, { lost: [], doubled: [], broken: [] })
})

t.test('a like that notified nobody is reported as lost', async (t) => {
  const { pool, world, load, author, like } = await quietWorld(t, { worker: true })
  await like()
  await eventually(async () => (await pool.query('select from notify.sources')).rowCount)
  t.same(await check(pool, world, load, [], 10), { lost: [], doubled: [], broken: [] })
  await pool.query('delete from notify.sources')
  t.match(await check(pool, world, load, [], 10), {
    lost: [new RegExp(`^${author.id} post.liked like:`)],
    doubled: [/nothing stands for/],
  })
})

t.test('events unread at the deadline are late, which fails the check but is not a loss', async (t) => {
  const { pool, world, load, like } = await quietWorld(t, {})
  await like()
  t.match(await check(pool, world, load, [], 0), {
    lost: [],
    doubled: [],
    broken: ['not settled', /has not read 1 events/, /./],
  })
})
