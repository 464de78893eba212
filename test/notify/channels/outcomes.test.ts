import { test } from 'tap'
import { type Outcome, recordOutcomes } from '../../../src/notify/channels/deliveries.ts'
import { setup } from '../../setup.ts'
import { makeUsers } from '../dispatch/events.ts'

test('a process whose lease ended reports only successes', async (t) => {
  const { app, pool } = await setup(t)
  const [ana = ''] = await makeUsers(app, ['ana'])
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, send_id, attempts, due_at)
     values ($1, 1, 'webPush', 'browser', 1, 'x', 2, now() + interval '1 minute')`,
    [ana],
  )
  const record = async (outcome: Outcome, attempts: number) => {
    const delivery = {
      userId: ana,
      notificationId: '1',
      channel: 'webPush',
      target: 'browser',
      grownModseq: 1,
    } as const
    await recordOutcomes(pool, [{ delivery: { ...delivery, sendId: 'x', attempts }, outcome }])
    const { rows } = await pool.query('select state, attempts from notify.deliveries')
    return rows
  }
  const outcomes: Outcome[] = [
    { state: 'failed', error: 'no' },
    { state: 'bounced', error: 'no' },
    { state: 'skipped', reason: 'unsubscribed' },
    { state: 'cancelled', reason: 'read' },
    { state: 'deferred', reason: 'snooze', until: new Date() },
    { state: 'retry', error: 'no', afterSeconds: 0, counts: true },
  ]
  for (const outcome of outcomes)
    t.same(await record(outcome, 1), [{ state: 'queued', attempts: 2 }], `${outcome.state} is left to the other`)
  t.same(await record({ state: 'sent' }, 1), [{ state: 'sent', attempts: 2 }], 'what was sent was sent')
})
