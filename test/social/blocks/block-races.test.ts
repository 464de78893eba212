import t from 'tap'
import { noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'

const ROUNDS = 40

t.test('a follow and a bell concurrent with a block do not survive it', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const { pool } = system
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  let survived = 0
  for (let round = 0; round < ROUNDS; round++) {
    // Who begins first, and by how much, changes from round to round.
    const late = (by: number) => new Promise((resolve) => setTimeout(resolve, by))
    const wait = (round % 8) - 4
    await Promise.all([
      late(Math.max(0, wait)).then(async () =>
        t.match(await ana.request('PUT', `/users/${ben.id}/block`), { status: 204 }),
      ),
      late(Math.max(0, -wait)).then(() =>
        Promise.all([
          ben.request('POST', `/users/${ana.id}/follow`),
          ana.request('POST', `/users/${ben.id}/follow`),
          ben.request('PUT', `/users/${ana.id}/bell`, { enabled: true }),
          ana.request('PUT', `/users/${ben.id}/bell`, { enabled: true }),
        ]),
      ),
    ])
    const { rows } = await pool.query(
      'select (select count(*) from social.follows)::int + (select count(*) from social.bells)::int as n',
    )
    survived += rows[0].n
    await pool.query('delete from social.bells')
    await Promise.all([
      ana.request('POST', `/users/${ben.id}/unfollow`),
      ben.request('POST', `/users/${ana.id}/unfollow`),
    ])
    await ana.request('DELETE', `/users/${ben.id}/block`)
  }
  t.equal(survived, 0)
  await settled(system)
  await noDrift(t, system)
})

t.test('a follow during a block is refused after it and delays no other follow', async (t) => {
  const system = await setup(t)
  const { pool } = system
  const [ana, ben, cem, dia] = await Promise.all(['ana', 'ben', 'cem', 'dia'].map(system.as))
  if (!ana || !ben || !cem || !dia) throw new Error('nobody signed up')
  const blocker = await pool.connect()
  await blocker.query('begin')
  await blocker.query('select from social.users where id = least($1::bigint, $2::bigint) for update', [ana.id, ben.id])
  await blocker.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ana.id, ben.id])
  const follows = [ben.request('POST', `/users/${ana.id}/follow`), ana.request('POST', `/users/${ben.id}/follow`)]
  t.same(await cem.follow(dia.id), { following: true })
  await blocker.query('commit')
  blocker.release()
  t.same(
    (await Promise.all(follows)).map(({ status }) => status),
    [404, 404],
  )
})
