import t from 'tap'
import { type Changes, HeldInbox } from '../../client/held-inbox.ts'

const changes = (from: string, to: string, more = false): Changes => ({
  from,
  to,
  more,
  upserts: [],
  removes: [],
  ...(!more && { unreadCount: Number(to.slice(2)), unseenCount: 0 }),
})

function heldAt(state: string): HeldInbox {
  const inbox = new HeldInbox()
  inbox.replace({ items: [], state, unreadCount: 0, unseenCount: 0 })
  return inbox
}

t.test('what begins at or before the held state and ends after it is next', async (t) => {
  const inbox = heldAt('e.9')
  t.equal(inbox.place(changes('e.9', 'e.10')), 'next', 'by number, not by letter')
  t.equal(inbox.place(changes('e.3', 'e.10')), 'next')
  t.equal(inbox.place(changes('e.3', 'e.9')), 'known')
  t.equal(inbox.place(changes('e.10', 'e.11')), 'missed')
  t.equal(inbox.place(changes('f.9', 'f.10')), 'otherEpoch')
  t.equal(new HeldInbox().place(changes('e.0', 'e.1')), 'otherEpoch', 'who holds nothing begins with the list')
})

t.test('the counts of the highest state stand', async (t) => {
  const inbox = heldAt('e.1')
  inbox.count('e.5', { unreadCount: 5, unseenCount: 0 })
  inbox.apply(changes('e.1', 'e.4'))
  t.equal(inbox.counts.unreadCount, 5)
  inbox.apply(changes('e.4', 'e.6', true))
  t.equal(inbox.counts.unreadCount, 5, 'an unfinished catch-up has none')
  inbox.apply(changes('e.6', 'e.7'))
  t.equal(inbox.counts.unreadCount, 7)
  inbox.replace({ items: [], state: 'f.2', unreadCount: 2, unseenCount: 0 })
  t.equal(inbox.counts.unreadCount, 2, 'another epoch counts anew')
})
