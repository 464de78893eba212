import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { acknowledge } from '../../../src/notify/inbox/acknowledge.ts'
import { archive, markRead, markSeen, markUnread, remove, unarchive } from '../../../src/notify/inbox/mark.ts'
import { readStats } from '../../../src/notify/inbox/stats.ts'
import { sized } from '../../size.ts'
import { drift, follow, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'
import { catchUp, emptyHand, foldedItems, listedItems } from '../dispatch/fold-client.ts'

const operations = { markRead, markUnread, archive, unarchive, remove }

/** What happens, to notifications picked by their place in what the client holds. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('like'), post: fc.nat(2), actor: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlike'), post: fc.nat(2), actor: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('follow'), actor: fc.nat(3) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('markRead', 'markUnread', 'archive', 'unarchive', 'remove'),
      picks: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('markRead', 'archive', 'remove'),
      upTo: fc.integer({ min: 0, max: 100 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('seen', 'ack'), upTo: fc.integer({ min: 0, max: 100 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

t.test('for any actions, states have no gaps, counts are right, and folded changes equal the list', async (t) => {
  const app = await inboxApp(t)

  const play = async (steps: Step[], limit: number) => {
    const [me = '', ...actors] = await makeUsers(app, ['Me', 'Ana', 'Ben', 'Cem', 'Dot'])
    const posts = [await makePost(app, me), await makePost(app, me), await makePost(app, me)]
    const held = emptyHand()
    for (const now of steps) {
      const before = held.modseq
      const updated = await perform(now, me, actors, posts, [...held.items.keys()], before)
      const changed = await catchUp(app, me, held, limit)
      assert.equal(changed, held.modseq - before, 'every state is one change')
      if (updated !== null) assert.equal(updated, changed)
      assert.deepEqual(foldedItems(held), await listedItems(app, me))
    }
    const fromTheStart = emptyHand()
    await catchUp(app, me, fromTheStart, limit)
    assert.deepEqual(foldedItems(fromTheStart), foldedItems(held))
    assert.deepEqual(await drift(app, [me]), [])
    const { byState } = await readStats(app.pool, me)
    assert.deepEqual([byState.unread, byState.unseen], [held.unreadCount, held.unseenCount])
  }

  const perform = async (
    now: Step,
    me: string,
    actors: string[],
    posts: string[],
    held: string[],
    modseq: number,
  ): Promise<number | null> => {
    const actorId = actors['actor' in now ? now.actor : 0] ?? ''
    const postId = posts['post' in now ? now.post : 0] ?? ''
    if (now.kind === 'like') await like(app, { postId, actorId, recipientId: me })
    else if (now.kind === 'unlike') await like(app, { postId, actorId, recipientId: me, retracts: true })
    else if (now.kind === 'follow') await follow(app, actorId, me)
    else if ('upTo' in now) {
      const upTo = Math.round((now.upTo * modseq) / 100)
      if (now.kind === 'ack') await acknowledge(app.pool, [{ userId: me, modseq: upTo }], 'soon')
      else if (now.kind === 'seen') return (await markSeen(app, me, upTo)).updated
      else return (await operationOf(now.kind)(app, me, { upTo })).updated
    } else if ('picks' in now) {
      const ids = now.picks.flatMap((pick) => held[pick % Math.max(held.length, 1)] ?? [])
      return (await operationOf(now.kind)(app, me, { ids })).updated
    }
    return null
  }

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), fc.integer({ min: 1, max: 4 }), play),
    { numRuns: sized(40, 15) },
  )
})

function operationOf(kind: string) {
  const found = Object.entries(operations).find(([name]) => name === kind)
  if (!found) throw new Error(`no operation ${kind}`)
  return found[1]
}
