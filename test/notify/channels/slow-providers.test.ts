import { test } from 'tap'
import { eventually, setup } from '../../setup.ts'
import { startMailServer } from './mail-server.ts'
import { startPushService, vapid } from './push-service.ts'

const PUPPETS = 10
const BROWSERS = 20
const COMMENTS = 10
/** A second and a tenth of one are wished; old runs took 100 s and 9 s. A machine that is busy gets more. */
const PUSH_WITHIN_SECONDS = 5
const LIKE_WITHIN_SECONDS = 3

test('2,000 pushes to endpoints that take 9 s delay no other push and no like', async (t) => {
  const [slow, quick] = [await startPushService(t), await startPushService(t)]
  slow.afterMs = 9000
  const system = await setup(t, {
    worker: true,
    windowSeconds: 0,
    env: vapid,
    senders: { pushAgent: quick.agent },
  })
  const { as, pool } = system
  const [mallory, ana, ben] = [await as('mallory'), await as('ana'), await as('ben')]
  const puppets = await Promise.all(Array.from({ length: PUPPETS }, (_, i) => as(`puppet${i}`)))
  for (const puppet of puppets)
    await Promise.all(
      Array.from({ length: BROWSERS }, () => puppet.request('POST', '/push/subscriptions', slow.browser())),
    )
  await ana.request('POST', '/push/subscriptions', quick.browser())
  const [bait, own] = [await mallory.post('bait'), await ana.post('own')]
  const text = puppets.map(({ username }) => `@${username}`).join(' ')
  const puppetIds = puppets.map(({ id }) => id)
  for (let comments = 1; comments <= COMMENTS; comments += 1) {
    await mallory.comment(bait.id, text)
    // Two comments of one batch would make one push.
    await eventually(async () => {
      const { rows } = await pool.query('select min(modseq)::int as least from notify.inbox where user_id = any($1)', [
        puppetIds,
      ])
      return rows[0].least >= comments
    })
  }

  const followedAt = performance.now()
  await ben.follow(ana.id)
  await eventually(() => quick.pushes.length === 1, PUSH_WITHIN_SECONDS)
  t.comment(`the push came after ${Math.round(performance.now() - followedAt)} ms`)
  const likedAt = performance.now()
  await ben.like(own.id)
  await eventually(async () => {
    const { rows } = await pool.query(`select from notify.notifications where user_id = $1 and type = 'post.liked'`, [
      ana.id,
    ])
    return rows.length === 1
  }, LIKE_WITHIN_SECONDS)
  t.comment(`the like was sent after ${Math.round(performance.now() - likedAt)} ms`)
  const { rows: jobs } = await pool.query(
    `select count(*)::int as running from graphile_worker.jobs where task_identifier = 'send_deliveries' and locked_at is not null`,
  )
  t.ok(jobs[0].running <= 1, 'in one job')
  await eventually(async () => {
    const { rows } = await pool.query(
      `select from notify.deliveries where last_error = 'the provider fails at the moment' limit 1`,
    )
    return rows.length > 0
  })
  t.ok(slow.asked <= 20, `${slow.asked} were asked of the slow service, then it was left alone`)
  const { rows: states } = await pool.query(`select distinct state from notify.deliveries where user_id <> $1`, [
    ana.id,
  ])
  t.same(states, [{ state: 'queued' }], 'nothing of it is lost')
  await ben.comment(own.id, 'one')
  await eventually(() => quick.pushes.length === 2, PUSH_WITHIN_SECONDS)
})

test('a hanging mail server delays no push', async (t) => {
  const [mails, pushes] = [await startMailServer(t), await startPushService(t)]
  const env = { ...vapid, SMTP_URL: mails.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  mails.does = 'hang'
  const { as, pool } = await setup(t, { worker: true, windowSeconds: 0, env, senders: { pushAgent: pushes.agent } })
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.request('POST', '/push/subscriptions', pushes.browser())
  await eventually(() => mails.asked === 2)
  await ben.follow(ana.id)
  await eventually(() => pushes.pushes.length === 1)
  const { rows } = await pool.query(`select state from notify.deliveries where channel = 'email'`)
  t.same(rows, Array(2).fill({ state: 'queued' }), 'while the mails are under way')
})
