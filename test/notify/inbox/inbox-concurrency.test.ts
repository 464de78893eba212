import t from 'tap'
import type { App } from '../../../src/app.ts'
import { runFanOuts } from '../../../src/notify/fan-outs/run.ts'
import { acknowledge } from '../../../src/notify/inbox/acknowledge.ts'
import { listNotifications } from '../../../src/notify/inbox/list.ts'
import { archive, markRead, markSeen, markUnread, remove } from '../../../src/notify/inbox/mark.ts'
import { allFanOuts } from '../../../src/worker/context.ts'
import { drift, fillInbox, follow, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'
import { catchUp, emptyHand, foldedItems, type Held, listedItems } from '../dispatch/fold-client.ts'

const ROUNDS = 25

t.test('several devices and the dispatcher together keep every snapshot right and all devices equal', async (t) => {
  const app = await inboxApp(t)
  const [me = '', ana = '', ben = ''] = await makeUsers(app, ['Me', 'Ana', 'Ben'])
  const post = await makePost(app, me)
  const devices = [emptyHand(), emptyHand()]
  let running = true

  const people = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await like(app, { postId: post, actorId: round % 2 ? ana : ben, recipientId: me, retracts: round % 3 === 2 })
      await follow(app, ana, me)
    }
  }
  const device = async (held: Held, offset: number) => {
    for (let round = offset; round < ROUNDS + offset; round++) {
      await catchUp(app, me, held, 2)
      await act(app, me, held, round)
    }
  }
  const observer = async () => {
    while (running) t.same(await drift(app, [me]), [])
  }

  const observing = observer()
  await Promise.all([people(), device(devices[0] ?? emptyHand(), 0), device(devices[1] ?? emptyHand(), 3)])
  running = false
  await observing
  for (const held of [...devices, emptyHand()]) {
    await catchUp(app, me, held, 3)
    t.same(foldedItems(held), await listedItems(app, me))
  }
})

async function act(app: App, userId: string, held: Held, round: number): Promise<void> {
  const ids = [...held.items.keys()].slice(-2)
  if (round % 7 === 0) await markSeen(app, userId, held.modseq)
  else if (round % 7 === 1) await markRead(app, userId, { ids })
  else if (round % 7 === 2) await markUnread(app, userId, { ids })
  else if (round % 7 === 3) await remove(app, userId, { ids: ids.slice(1) })
  else if (round % 7 === 4) await markRead(app, userId, { upTo: held.modseq })
  else if (round % 7 === 5) await archive(app, userId, { ids })
  else await acknowledge(app.pool, [{ userId, modseq: held.modseq }], 'soon')
}

t.test('notifications that arrive during mark-all-read stay unread', async (t) => {
  const app = await inboxApp(t)
  const [me = '', ana = ''] = await makeUsers(app, ['Me', 'Ana'])
  await fillInbox(app, me, 10_000)
  const marking = markRead(app, me, { upTo: 10_000 })
  await follow(app, ana, me)
  await follow(app, ana, me)
  t.ok((await marking).updated >= 5000, 'what takes longer than a request is left to a fan-out')
  await runFanOuts(app, allFanOuts)
  const { rows: read } = await app.pool.query(
    'select count(*)::int as n from notify.notifications where read_at is not null',
  )
  t.same(read, [{ n: 10_000 }])
  const { unreadCount, items } = await listNotifications(app, me, { filter: 'unread', limit: 20 })
  t.equal(unreadCount, items.length)
  t.same(
    items.map((item) => item.type),
    ['user.followed'],
    'the same source notifies once',
  )
  t.same((await app.pool.query('select * from notify.pending')).rows, [], 'the dispatcher got its turn')
  t.same(await drift(app, [me]), [])
})
