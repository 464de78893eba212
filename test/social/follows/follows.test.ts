import t from 'tap'
import { readEvents } from '../../notify/outbox/read-events.ts'
import { setup } from '../../setup.ts'

t.test('a follow notifies, an unfollow retracts it, and repeating either appends no event', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  t.same(await ben.follow(ana.id), { following: true })
  t.same(await ben.follow(ana.id), { following: true })
  t.match((await ben.get(`/users/${ana.id}`)).viewer, { following: true })
  t.same(await ben.unfollow(ana.id), { following: false })
  t.same(await ben.unfollow(ana.id), { following: false })
  const [{ today }] = (await pool.query(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') as today`)).rows
  const event = {
    counted: true,
    sourceId: `follow:${ben.id}:${ana.id}`,
    type: 'user.followed',
    recipientId: ana.id,
    actorId: ben.id,
    objectType: 'user',
    objectId: ana.id,
    threadKey: null,
    groupKey: `user.followed:${today}`,
    data: { followeeId: ana.id },
  }
  const events = await readEvents(pool, 'follow')
  t.match(events, [
    { ...event, retracts: false },
    { ...event, retracts: true },
  ])
  t.equal(events.length, 2)
})

t.test('following oneself, an unknown or a deleted user is refused', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await pool.query('update social.users set deleted_at = now() where id = $1', [ben.id])
  t.match(await ana.request('POST', `/users/${ana.id}/follow`), { status: 422, body: { code: 'CANNOT_FOLLOW_SELF' } })
  for (const call of ['follow', 'unfollow']) {
    t.match(await ana.request('POST', `/users/999999/${call}`), { status: 404, body: { code: 'USER_NOT_FOUND' } })
    t.match(await ana.request('POST', `/users/${ben.id}/${call}`), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  }
  t.same(await readEvents(pool, 'follow'), [])
})

t.test('two users can follow each other concurrently', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  for (let round = 0; round < 20; round++) {
    await Promise.all([ana.follow(ben.id), ben.follow(ana.id)])
    await Promise.all([ana.unfollow(ben.id), ben.unfollow(ana.id)])
  }
  t.equal((await readEvents(pool, 'follow')).length, 80)
})
