import t from 'tap'
import { inTransaction } from '../../../src/db/transaction.ts'
import { appendEvents, type NewEvent } from '../../../src/notify/outbox/append.ts'
import { setup } from '../../setup.ts'

const event: NewEvent = {
  action: 'comment',
  counted: true,
  sourceId: 'comment:9',
  type: 'comment.created',
  recipientId: '12',
  actorId: '34',
  objectType: 'post',
  objectId: '5',
  threadKey: 'post:5',
  groupKey: 'comment.created:5',
  data: { postId: '5', commentId: '9', parentId: null, text: 'quotes " and \\ and {braces}' },
  requestId: 'a-request',
}

t.test('events are written unchanged, in order, in their transaction', async (t) => {
  const { pool } = await setup(t)
  const nobody = {
    ...event,
    retracts: true,
    counted: false,
    type: null,
    recipientId: null,
    objectId: null,
    threadKey: null,
  }
  await inTransaction(pool, (client) => appendEvents(client, [event, nobody]))
  const { rows } = await pool.query('select *, xid::text from notify.outbox order by id')
  t.match(rows, [
    {
      action: 'comment',
      retracts: false,
      counted: true,
      critical: false,
      source_id: 'comment:9',
      type: 'comment.created',
      recipient_id: '12',
      actor_id: '34',
      object_type: 'post',
      object_id: '5',
      thread_key: 'post:5',
      group_key: 'comment.created:5',
      data: event.data,
      request_id: 'a-request',
    },
    {
      retracts: true,
      counted: false,
      type: null,
      recipient_id: null,
      actor_id: '34',
      object_id: null,
      thread_key: null,
    },
  ])
  t.equal(rows[0].xid, rows[1].xid)
})

t.test('a rollback leaves no event', async (t) => {
  const { pool } = await setup(t)
  const undone = inTransaction(pool, async (client) => {
    await appendEvents(client, [event])
    throw new Error('undone')
  })
  await t.rejects(undone, { message: 'undone' })
  t.same((await pool.query('select from notify.outbox')).rowCount, 0)
})
