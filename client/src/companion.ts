import type { Companion, Host, News } from './client.ts'
import { RavenpostError, SignedOut } from './errors.ts'
import type { ConnectionSnapshot } from './link.ts'
import type { Intent } from './overlay.ts'
import { compare, reaches } from './ranges.ts'
import { waitAfter } from './reconnect.ts'
import { claimsOf } from './rest.ts'
import { epochOf, numberOf } from './states.ts'
import type { Saved, Storage } from './storage.ts'
import type { Tabs, TabsOptions } from './tabs.ts'
import type { Watch } from './watching.ts'

/** Messages between the tabs of one user. `tab`: id of the tab that requested it. */
export type TabMessage =
  | (News & { tab?: string })
  | { type: 'beat'; connection: ConnectionSnapshot; state: string | undefined }
  | { type: 'who' }
  | { type: 'saved?' }
  | { type: 'saved'; saved: Saved }
  | { type: 'token?'; refused?: string }

/** Features of the browser. Each can be missing. */
export type Extras = {
  openStorage?(name: string): Storage | undefined
  joinTabs?(options: TabsOptions<TabMessage>): Tabs<TabMessage> | undefined
}

const SAVED_ITEMS = 300
const SAVE_MS = 300
/** Milliseconds after which the subscription of a closed or frozen tab expires. */
const WATCH_MS = 20_000
/** Maximum wait for an answer of another tab, in milliseconds. */
const TAB_MS = 1500

/** Stores the inbox and the intents on disk, and shares one socket between the tabs of a user. */
export function accompanyWith({ openStorage, joinTabs }: Extras): (host: Host) => Companion {
  return (host) => {
    const { options, inbox, overlay, link, queue, watching, tokens, events, connection, isLeader } = host
    const tab = Math.random().toString(36).slice(2)
    let storage: Storage | undefined
    let tabs: Tabs<TabMessage> | undefined
    let user: string | undefined
    let owner: string | undefined
    let saving: ReturnType<typeof setTimeout> | undefined
    let answered: ((token: string) => void) | undefined
    const wishes = new Map<string, { wish: Watch; at: number }>()
    watching.others = () => {
      for (const [id, { at }] of wishes) if (Date.now() - at > WATCH_MS) wishes.delete(id)
      return [...wishes.values()].map(({ wish }) => wish)
    }

    return {
      async start(signal) {
        user ??= await findUser(signal)
        if (!user || signal.aborted) return false
        const name = `ravenpost:${options.url}:${user}`
        const opened = openStorage?.(name)
        storage = opened
        const stored = await opened?.load().catch(ignore)
        if (signal.aborted || storage !== opened) return false
        if (stored) restore(stored.saved, stored.intents)
        globalThis.addEventListener?.('pagehide', save, { signal })
        tabs = joinTabs?.({ name, onRole: host.lead, onMessage: hear, beat })
        return tabs !== undefined
      },
      stop() {
        tabs?.close()
        tabs = undefined
        save()
        storage?.close()
        storage = undefined
      },
      async wipe() {
        const stored = storage
        storage = undefined
        await stored?.wipe().catch(ignore)
        stored?.close()
      },
      send(news) {
        if (news.type === 'intent')
          void keep(news.intent)
            .catch(() => false)
            .then(host.stored)
        if (news.type === 'connection') tabs?.post(beat())
        else if (news.type === 'list') share()
        else tabs?.post(news.type === 'watch' ? { ...news, tab } : news)
      },
      changed(settled) {
        if (settled.length > 0) void storage?.deleteIntents(settled.map(({ key }) => key)).catch(ignore)
        if (isLeader.getSnapshot()) saving ??= setTimeout(save, SAVE_MS)
      },
      async token(refused) {
        if (isLeader.getSnapshot() || !tabs) return undefined
        tabs.post({ type: 'token?', refused })
        const token = await soon<string>((listener) => {
          answered = listener
          return []
        })
        return token ?? options.getToken({ renew: false })
      },
      async inbox() {
        if (isLeader.getSnapshot() || !tabs) return
        tabs.post({ type: 'saved?' })
        await soon<void>((listener) => [events.on('reset', () => listener()), isLeader.subscribe(listener)])
      },
      isOthers(userId) {
        const isOthers = owner !== undefined && owner !== userId
        owner = userId
        return isOthers
      },
    }

    /** Name of the database of this user. Undefined if the token does not contain the user. */
    async function findUser(signal: AbortSignal): Promise<string | undefined> {
      if (options.userId !== undefined) return options.userId
      for (let failures = 0; !signal.aborted; failures++) {
        try {
          return claimsOf(await tokens.get()).sub
        } catch (error) {
          if (error instanceof SignedOut) {
            if (!signal.aborted) await host.forget()
            return undefined
          }
          await new Promise((resolve) => setTimeout(resolve, waitAfter(1006, failures)))
        }
      }
      return undefined
    }

    /** Resolves with false if nothing is stored. */
    async function keep(intent: Intent): Promise<boolean> {
      await storage?.putIntent(intent)
      return storage !== undefined
    }

    function beat(): TabMessage {
      return { type: 'beat', connection: connection.getSnapshot(), state: inbox.state }
    }

    function hear(message: TabMessage): void {
      const leads = isLeader.getSnapshot()
      switch (message.type) {
        case 'beat':
          if (!leads) follow(message.connection, message.state)
          break
        case 'frame':
          if (!leads) void host.take(message.frame).catch(ignore)
          break
        case 'saved?':
          if (leads) share()
          break
        case 'saved':
          if (inbox.state === undefined) {
            restore(message.saved, [])
            events.emit('reset', undefined)
          }
          break
        case 'intent':
          restore(undefined, [message.intent])
          if (leads) queue.flush()
          break
        case 'confirmed':
          host.confirmed(message.keys, message.state)
          break
        case 'refused':
          host.refused(message.key, new RavenpostError(message.status, message.code, message.message))
          break
        case 'watch':
          if (leads && message.tab) watch(message.tab, message.wish)
          break
        case 'watched':
          events.emit('watched', message.began)
          break
        case 'token?':
          if (leads) void tokens.get(message.refused).then((token) => tabs?.post({ type: 'token', token }), ignore)
          break
        case 'token':
          tokens.take(message.token)
          answered?.(message.token)
          break
        case 'retry':
          if (leads) link.retryNow()
          break
        case 'signedOut':
          void host.forget()
      }
    }

    function follow(leaders: ConnectionSnapshot, state: string | undefined): void {
      host.report({ ...leaders, isLeader: false })
      tabs?.post({ type: 'watch', wish: watching.wish(), tab })
      if (isAhead(state)) void host.catchUp().catch(ignore)
    }

    /** Tabs repeat their subscriptions. Only a new one is sent, because the server starts again with each frame. */
    function watch(id: string, wish: Watch): void {
      const before = JSON.stringify(wishes.get(id)?.wish)
      wishes.set(id, { wish, at: Date.now() })
      if (JSON.stringify(wish) !== before) watching.changed()
    }

    function isAhead(state: string | undefined): boolean {
      if (state === undefined || inbox.state === undefined) return false
      return epochOf(state) !== epochOf(inbox.state) || numberOf(state) > numberOf(inbox.state)
    }

    function share(): void {
      const saved = snapshot()
      if (saved && isLeader.getSnapshot()) tabs?.post({ type: 'saved', saved })
    }

    function save(): void {
      clearTimeout(saving)
      saving = undefined
      const saved = snapshot()
      if (saved) void storage?.save(saved).catch(ignore)
    }

    /** The newest part of the held inbox. It ends where a page ended, so that further pages can be fetched. */
    function snapshot(): Saved | undefined {
      const { state, counts, main } = inbox
      if (state === undefined) return undefined
      const all = inbox.within(main)
      let { bottom, marks } = main
      if (all.length > SAVED_ITEMS && marks.length > 0) {
        const isEnough = (mark: (typeof marks)[number]) =>
          all[SAVED_ITEMS] ? compare(mark.bottom, all[SAVED_ITEMS].item) <= 0 : true
        marks = marks.slice(0, Math.max(1, marks.findLastIndex(isEnough) + 1))
        bottom = marks.at(-1)?.bottom ?? bottom
      }
      return { owner, state, counts, held: all.filter(({ item }) => reaches(bottom, item)), bottom, marks }
    }

    function restore(saved: Saved | undefined, intents: Intent[]): void {
      const known = new Set(overlay.intents.map(({ key }) => key))
      const added = intents.filter(({ key }) => !known.has(key))
      overlay.intents = [...overlay.intents, ...added].sort((a, b) => (a.key < b.key ? -1 : 1))
      if (saved && inbox.state === undefined) {
        const { state, counts, held, bottom, marks } = saved
        owner = saved.owner
        inbox.replace({ items: [], state, ...counts })
        for (const each of held) inbox.put(each)
        Object.assign(inbox.main, { bottom, marks: [...marks] })
      }
      host.changed()
    }
  }
}

/**
 * Resolves with the first value the listener gets, or undefined after the timeout. `subscribe` returns the functions that
 * unsubscribe.
 */
function soon<T>(subscribe: (listener: (value?: T) => void) => (() => void)[]): Promise<T | undefined> {
  return new Promise((resolve) => {
    const done = (value?: T) => {
      clearTimeout(timer)
      for (const end of ends) end()
      resolve(value)
    }
    const timer = setTimeout(done, TAB_MS)
    const ends = subscribe(done)
  })
}

/** Without working storage, the client starts from the network. */
function ignore(): undefined {
  return undefined
}
