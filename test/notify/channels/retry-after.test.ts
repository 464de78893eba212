import { test } from 'tap'
import { askedToWait } from '../../../src/notify/channels/web-push/web-push.ts'
import { eventually, setup } from '../../setup.ts'
import { startPushService, vapid } from './push-service.ts'

const DAY_SECONDS = 24 * 3600

test('a push service can postpone by a day at most', async (t) => {
  const service = await startPushService(t)
  const system = await setup(t, { worker: true, windowSeconds: 0, env: vapid, senders: { pushAgent: service.agent } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await ana.request('POST', '/push/subscriptions', service.browser())
  service.answer = 429
  service.headers = { 'retry-after': '1e300' }
  await ben.follow(ana.id)
  const tried = await eventually(async () => {
    const { rows } = await system.pool.query(
      'select attempts, last_error as error, extract(epoch from due_at - now())::float8 as seconds from notify.deliveries',
    )
    return rows[0]?.error && rows[0]
  })
  t.match(tried, { attempts: 1, error: 'the push service answered 429' })
  t.ok(tried.seconds > DAY_SECONDS - 60 && tried.seconds <= DAY_SECONDS, `${tried.seconds} s`)
  const { rows } = await system.pool.query('select last_error from graphile_worker.jobs where last_error is not null')
  t.same(rows, [], 'and no job fails')
})

test('Retry-After is a number of seconds or a date', async (t) => {
  const now = Date.parse('2026-08-01T12:00:00Z')
  t.equal(askedToWait('120', now), 120)
  t.equal(askedToWait('Sat, 01 Aug 2026 12:05:00 GMT', now), 300)
  t.equal(askedToWait('Sat, 01 Aug 2026 11:00:00 GMT', now), 0, 'a time that has passed')
  for (const nothing of [undefined, '', 'soon', '-5']) t.equal(askedToWait(nothing, now), 0, `${nothing}`)
  for (const long of ['1e300', '1000000000', 'Infinity', 'Sat, 01 Aug 2055 12:05:00 GMT'])
    t.equal(askedToWait(long, now), DAY_SECONDS, long)
})
