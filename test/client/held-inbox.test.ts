import fc from 'fast-check'
import t from 'tap'
import { HeldInbox, type Notification } from '../../client/src/core.ts'
import { Overlay } from '../../client/src/overlay.ts'
import { matches, newRange } from '../../client/src/ranges.ts'
import { sized } from '../size.ts'
import { changes, InboxModel, NOTIFICATION, numberOf } from './inbox-model.ts'

function heldAt(state: string): HeldInbox {
  const inbox = new HeldInbox()
  inbox.replace({ items: [], state, unreadCount: 0, unseenCount: 0 })
  return inbox
}

t.test("changes are applied if they start at or before the client's state and end after it", async (t) => {
  const inbox = heldAt('e.9')
  t.equal(inbox.place(changes('e.9', 'e.10')), 'next', 'by number, not by letter')
  t.equal(inbox.place(changes('e.3', 'e.10')), 'next')
  t.equal(inbox.place(changes('e.3', 'e.9')), 'known')
  t.equal(inbox.place(changes('e.10', 'e.11')), 'missed')
  t.equal(inbox.place(changes('f.9', 'f.10')), 'otherEpoch')
  t.equal(new HeldInbox().place(changes('e.0', 'e.1')), 'otherEpoch', 'an empty client begins with the list')
})

t.test('counts come with the last frame of a catch-up', async (t) => {
  const inbox = heldAt('e.1')
  inbox.apply(changes('e.1', 'e.4'))
  inbox.apply(changes('e.4', 'e.6', true))
  t.equal(inbox.counts.unreadCount, 4)
  inbox.apply(changes('e.6', 'e.7'))
  t.equal(inbox.counts.unreadCount, 7)
})

t.test('after a change of an old notification that is not loaded, the list has no gap', async (t) => {
  const model = new InboxModel()
  for (let n = 0; n < 20; n++) model.create()
  const inbox = new HeldInbox()
  inbox.replace(model.page({}, undefined, 5))
  const before = model.modseq
  model.markRead(model.ids())
  inbox.apply(model.changesSince(before))
  t.equal(inbox.items.length, 5)
  const next = model.page({}, inbox.main.marks.at(-1)?.cursor, 5)
  inbox.pageAsked()
  inbox.addPage(inbox.main, next)
  inbox.pageDone()
  t.same(
    inbox.items.map(({ id }) => id),
    model
      .list({})
      .slice(0, 10)
      .map(({ id }) => id),
  )
})

t.test('a new notification that is older than the oldest loaded one enters the list', async (t) => {
  const at = (id: string, milliseconds: number): Notification => ({
    ...NOTIFICATION,
    id,
    updatedAt: `2026-01-01T00:00:00.${milliseconds}Z`,
  })
  const inbox = new HeldInbox()
  const counts = { unreadCount: 4, unseenCount: 4 }
  inbox.replace({ items: [at('3', 300), at('2', 200)], nextCursor: 'older', state: 'e.3', ...counts })
  inbox.apply({ upserts: [at('4', 100)], removes: [], to: 'e.4', more: false, ...counts })
  t.same(
    inbox.items.map(({ id }) => id),
    ['3', '2', '4'],
  )
})

/** For every sequence of changes, pages and frames, each list equals the server's list and has no gap. */
t.test('lists and counts equal those of the server for any order of arrival', async (t) => {
  const filters = [{}, { filter: 'unread' }, { filter: 'archived' }, { type: 'post.liked' }] as const
  const commands = fc.array(
    fc.record({
      what: fc.constantFrom(
        'create',
        'grow',
        'read',
        'unread',
        'archive',
        'unarchive',
        'remove',
        'seen',
        'frame',
        'ask',
        'answer',
      ),
      which: fc.nat(30),
      list: fc.nat(filters.length - 1),
    }),
    { minLength: 10, maxLength: 120 },
  )
  fc.assert(
    fc.property(commands, fc.integer({ min: 1, max: 4 }), (commands, limit) => {
      const model = new InboxModel()
      for (let n = 0; n < 8; n++) model.create()
      const inbox = new HeldInbox()
      inbox.replace(model.page({}, undefined, limit))
      const ranges = filters.map((filter, index) => (index === 0 ? inbox.main : newRange(filter)))
      for (const range of ranges) inbox.ranges.add(range)
      const asked = new Map<number, ReturnType<InboxModel['page']>>()
      const frame = () => inbox.apply(model.changesSince(numberOf(inbox.state ?? ''), limit))
      for (const { what, which, list } of commands) {
        const range = ranges[list] ?? inbox.main
        const ids = model.ids()
        const id = ids[which % ids.length]
        if (what === 'frame') {
          if (numberOf(inbox.state ?? '') < model.modseq) frame()
        } else if (what === 'ask') {
          if (asked.has(list) || range.bottom === 'all') continue
          inbox.pageAsked()
          asked.set(list, model.page(range.filter, range.marks.at(-1)?.cursor, limit))
        } else if (what === 'answer') {
          const page = asked.get(list)
          if (!page) continue
          asked.delete(list)
          inbox.addPage(range, page)
          inbox.pageDone()
        } else if (what === 'create') model.create()
        else if (id) model.change(what, id)
      }
      for (const [list, page] of asked) {
        inbox.addPage(ranges[list] ?? inbox.main, page)
        inbox.pageDone()
      }
      while (numberOf(inbox.state ?? '') < model.modseq) frame()
      for (const range of ranges) {
        if (range.bottom === 'none') continue
        const shown = inbox.within(range).map(({ item }) => item)
        const listed = model.list(range.filter)
        const expected = range.bottom === 'all' ? listed : listed.slice(0, shown.length)
        if (JSON.stringify(shown) !== JSON.stringify(expected))
          throw new Error(`${JSON.stringify(range.filter)} ${ids(shown)} instead of ${ids(expected)}`)
      }
      const { unreadCount, unseenCount } = model.counts()
      if (inbox.counts.unreadCount !== unreadCount || inbox.counts.unseenCount !== unseenCount)
        throw new Error(`${JSON.stringify(inbox.counts)} instead of ${unreadCount}, ${unseenCount}`)
    }),
    { numRuns: sized(3000, 500) },
  )
  t.pass()
})

const ids = (items: Notification[]) => items.map(({ id }) => id).join()

/**
 * While an action waits, the client shows the state that the server will confirm, and also shows everything that arrives
 * meanwhile.
 */
t.test('the optimistic state equals the state after the server confirms', async (t) => {
  const command = fc.record({
    what: fc.constantFrom(
      'create',
      'grow',
      'readElsewhere',
      'read',
      'unread',
      'archive',
      'unarchive',
      'delete',
      'readAll',
      'seen',
      'frame',
    ),
    which: fc.nat(30),
  })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), fc.integer({ min: 2, max: 9 }), (commands, limit) => {
      const model = new InboxModel()
      for (let n = 0; n < 6; n++) model.create()
      const inbox = new HeldInbox()
      inbox.replace(model.page({}, undefined, limit))
      const overlay = new Overlay()
      const frame = () => inbox.apply(model.changesSince(numberOf(inbox.state ?? '')))
      for (const [index, { what, which }] of commands.entries()) {
        const shown = inbox.within(inbox.main).filter((held) => overlay.show(held))
        const item = shown[which % Math.max(1, shown.length)]?.item
        const all = model.ids()
        const id = all[which % all.length]
        if (what === 'frame') frame()
        else if (what === 'create') model.create()
        else if (what === 'grow' && id) model.change('grow', id)
        else if (what === 'readElsewhere' && id) model.change('read', id)
        else if (what === 'readAll' || what === 'seen')
          overlay.intents.push({
            key: String(index),
            at: model.now(),
            epoch: 'e',
            of: {},
            action: { type: what, upTo: inbox.state ?? '' },
          })
        else if (item && what !== 'grow' && what !== 'readElsewhere')
          overlay.intents.push({
            key: String(index),
            at: model.now(),
            epoch: 'e',
            of: { [item.id]: item.updatedAt },
            action: { type: what, ids: [item.id] },
          })
      }
      frame()
      // The first is the state that the user sees now; the second is the server's state after all actions.
      const before = inbox.within(inbox.main).flatMap((held) => overlay.show(held) ?? [])
      const counts = overlay.counts(inbox)
      for (const { action, of } of overlay.intents) {
        if ('upTo' in action) model.upTo(action.type, numberOf(action.upTo))
        else for (const id of action.ids) if (model.get(id)?.updatedAt === of[id]) model.change(action.type, id)
      }
      overlay.intents = overlay.intents.map((intent) => ({ ...intent, confirmed: `e.${model.modseq}` }))
      frame()
      overlay.settle(inbox)
      if (overlay.intents.length > 0) throw new Error('an intent stays')
      const looks = (items: Notification[]) =>
        items
          .filter((item) => matches({}, item))
          .map(({ id, readAt, seen }) => `${id} ${readAt !== null} ${seen}`)
          .join()
      if (looks(before) !== looks(inbox.items)) throw new Error(`${looks(before)} became ${looks(inbox.items)}`)
      const after = inbox.counts
      if (counts.unreadCount !== after.unreadCount || counts.unseenCount !== after.unseenCount)
        throw new Error(`${JSON.stringify(counts)} became ${JSON.stringify(after)}`)
    }),
    { numRuns: sized(3000, 500) },
  )
  t.pass()
})
