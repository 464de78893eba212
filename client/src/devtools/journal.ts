import { HeldInbox } from '../held-inbox.ts'
import type { Changes, Notification } from '../protocol.ts'
import type { Ravenpost, Store } from '../ravenpost.ts'
import { numberOf } from '../states.ts'
import { createStore } from '../stores.ts'

/** A received frame or change. `lagMs`: time between the newest change in it and its arrival, by the clock of this device. */
export type Entry = { at: number; type: string; text: string; changes: Changes | undefined; lagMs: number | undefined }

/** The inbox at one point in the journal. */
export type Past = { items: Notification[]; unreadCount: number; unseenCount: number; state: string | undefined }

export type Journal = Store<readonly Entry[]> & {
  /** The inbox after this entry, computed again from the frames. */
  at(index: number): Past
  stop(): void
}

/** Records the latest frames of a client, for inspection. */
export function createJournal(client: Ravenpost, { limit = 200 }: { limit?: number } = {}): Journal {
  const store = createStore<readonly Entry[]>([])
  let before = now()
  const add = (entry: Entry) => {
    const entries = [...store.getSnapshot(), entry]
    const dropped = entries.slice(0, Math.max(0, entries.length - limit))
    before = fold(before, dropped)
    store.set(entries.slice(dropped.length))
  }
  const ends = [
    client.on('changes', (changes) => {
      const at = Date.now()
      const youngest = Math.max(...changes.upserts.map(({ updatedAt }) => Date.parse(updatedAt)))
      const lagMs = Number.isFinite(youngest) ? at - youngest : undefined
      add({ at, type: 'changes', text: describe(changes), changes, lagMs })
    }),
    client.on('frame', ({ frame, at }) => {
      if (frame.type === 'changes' || frame.type === 'pong') return
      const { type, ...rest } = frame
      add({ at, type, text: JSON.stringify(rest), changes: undefined, lagMs: undefined })
    }),
    client.on('refused', ({ action, error }) =>
      add({
        at: Date.now(),
        type: 'refused',
        text: `${JSON.stringify(action)} ${error.message}`,
        changes: undefined,
        lagMs: undefined,
      }),
    ),
    client.on('reset', () => {
      before = now()
      store.set([{ at: Date.now(), type: 'list', text: 'fetched anew', changes: undefined, lagMs: undefined }])
    }),
  ]
  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    at: (index) => fold(before, store.getSnapshot().slice(0, index + 1)),
    stop() {
      for (const end of ends) end()
    },
  }

  function now(): Past {
    const { unreadCount, unseenCount, state } = client.counts.getSnapshot()
    return { items: [...client.inbox.getSnapshot().items], unreadCount, unseenCount, state }
  }
}

function fold({ state, ...past }: Past, entries: readonly Entry[]): Past {
  const all = entries.flatMap(({ changes }) => changes ?? [])
  if (state === undefined) return { state, ...past }
  const inbox = new HeldInbox()
  inbox.replace({ ...past, state })
  for (const changes of all) if (inbox.place(changes) === 'next') inbox.apply(changes)
  return { items: inbox.items, ...inbox.counts, state: inbox.state }
}

function describe({ from, to, upserts, removes, more }: Changes): string {
  const ids = [...upserts.map(({ id }) => `+${id}`), ...removes.map((id) => `−${id}`)]
  return `${numberOf(from)} → ${numberOf(to)} ${ids.join(' ')}${more ? ' …' : ''}`
}
