import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import t, { type Test } from 'tap'
import { noDrift, settled } from '../../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'

/** A post, comment or user that another session holds for as long as it likes. Returns how to let go. */
async function hold(t: Test, { databaseUrl }: TestSystem, table: string, id: string): Promise<() => Promise<void>> {
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin')
  await holder.query(`select from social.${table} where id = $1 for update`, [id])
  return async () => void (await holder.query('rollback'))
}

/** Puts all recipients into one lane, so that a delay of the lane affects all of them. */
async function oneLane({ pool }: TestSystem): Promise<void> {
  await pool.query(
    `update notify.positions set shard_from = 0, shard_to = 31 where consumer = 'notifications' and lane = 0;
     delete from notify.positions where consumer = 'notifications' and lane between 1 and 3`,
  )
}

async function toldOf({ pool }: TestSystem): Promise<string> {
  const { rows } = await pool.query<{ type: string }>('select type from notify.notifications order by type')
  return rows.map(({ type }) => type).join(' ')
}

for (const table of ['posts', 'comments'] as const)
  t.test(`a locked row of ${table} delays its own events and no others of the lane`, async (t) => {
    const system = await setup(t, { windowSeconds: 0 })
    await oneLane(system)
    const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
    const post = await ana.post('Hello')
    const comment = await ana.comment(post.id, 'First')
    await ben.comment(post.id, 'Second', comment.id)
    const release = await hold(t, system, table, table === 'posts' ? post.id : comment.id)
    await startSystem(t, system.databaseUrl, { worker: true })
    await ben.follow(cem.id)
    await eventually(async () => (await toldOf(system)) === 'user.followed')
    await eventually(async () => (await system.pool.query('select from ops.pending')).rowCount)
    await ben.follow(ana.id)
    await eventually(async () => (await toldOf(system)) === 'user.followed user.followed')
    await release()
    await settled(system)
    t.equal(await toldOf(system), 'comment.replied user.followed user.followed')
    await noDrift(t, system)
  })

for (const table of ['posts', 'users'] as const)
  t.test(`a locked row of ${table} delays its own counts and no others`, async (t) => {
    const system = await setup(t, { windowSeconds: 0 })
    const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
    const [held, free] = [await ana.post('held'), await ben.post('free')]
    await settled({ pool: (await startSystem(t, system.databaseUrl, { worker: true })).pool })
    const counts = async () => {
      const { rows } = await system.pool.query(
        `select (select like_count from social.posts where id = $1) as held, (select like_count from social.posts where id = $2) as free,
           (select follower_count from social.users where id = $3) as ana, (select follower_count from social.users where id = $4) as ben`,
        [held.id, free.id, ana.id, ben.id],
      )
      return rows[0]
    }
    const stop = new pg.Client({ connectionString: system.databaseUrl })
    await stop.connect()
    t.teardown(() => stop.end())
    await stop.query(`begin; select from notify.positions where consumer = 'counters' for update`)
    await Promise.all([cem.like(held.id), cem.like(free.id), cem.follow(ana.id), cem.follow(ben.id)])
    const release = await hold(t, system, table, table === 'posts' ? held.id : ana.id)
    await stop.query('commit')
    const expected = table === 'posts' ? { held: 0, free: 1, ana: 1, ben: 1 } : { held: 1, free: 1, ana: 0, ben: 1 }
    await eventually(async () => isDeepStrictEqual({ ...(await counts()) }, expected))
    await release()
    await settled(system)
    t.same(await counts(), { held: 1, free: 1, ana: 1, ben: 1 })
    await noDrift(t, system)
  })
