import t from 'tap'
import { RevokedSessions } from '../../src/social/sessions/revoked-sessions.ts'
import { dispatch, makePost } from '../notify/dispatch/events.ts'
import { sendTo, signIn, startNode } from './node.ts'

const HOUR = 3_600_000

/** Imitates a change of the system clock in Node, which does not affect timers and `performance.now()`. */
function step(ms: number): () => void {
  const { now } = Date
  Date.now = () => now() + ms
  return () => {
    Date.now = now
  }
}

for (const [name, ms] of [
  ['back', -HOUR],
  ['ahead', HOUR],
] as const)
  t.test(`a clock that is set ${name} by an hour changes nothing`, async (t) => {
    const node = await startNode(t, { env: { SWEEP_INTERVAL_MS: '60000' } })
    const ana = await node.user('ana')
    const socket = await ana.connect()
    await socket.next('synced')
    const post = await makePost(node.app, ana.id)
    socket.send({ type: 'watch', posts: [post] })
    await socket.next('counts')
    const change = async () => {
      await sendTo(node.app, ana.id)
      await dispatch(node.app)
      await node.app.pool.query('update social.posts set like_count = like_count + 1 where id = $1', [post])
      await node.app.pool.query(`select pg_notify('ravenpost_counts', $1)`, [post])
      await Promise.all([socket.next('changes', 5), socket.next('counts', 5)])
    }
    await change()
    t.teardown(step(ms))
    await change()
    await change()
    t.equal(socket.of('changes').length, 3)
  })

t.test('a session revoked after the clock was set back is detected and stays refused', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const { pool, config } = node.app
  const revoked = new RevokedSessions(config.accessTokenTtl)
  await revoked.look(pool)
  t.teardown(step(-HOUR))
  const session = await signIn(node.app, ana.id)
  await pool.query('update social.sessions set revoked_at = now() where id = $1', [session])
  await revoked.look(pool)
  t.ok(revoked.has(session))
  // Tokens of before the step live until the clock has made up for it, and a while more.
  t.teardown(step(config.accessTokenTtl * 1000 + 1000))
  await pool.query(`update social.sessions set revoked_at = now() - interval '1 day'`)
  await revoked.look(pool)
  t.ok(revoked.has(session), 'a token that was signed before the step is valid for longer')
})
