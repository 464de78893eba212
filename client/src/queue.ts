import { RavenpostError } from './errors.ts'
import type { HeldInbox } from './held-inbox.ts'
import type { Action, Intent, Overlay } from './overlay.ts'
import type { Counts } from './protocol.ts'
import type { Request } from './rest.ts'
import { epochOf } from './states.ts'

export type QueueOptions = {
  inbox: HeldInbox
  overlay: Overlay
  request: Request
  /** True if this tab sends the actions. */
  isSender(): boolean
  /** Updates the inbox, so that no action covers content the user has not seen. */
  catchUp(): Promise<void>
  /** Stores an intent and shows it in the other tabs. */
  added(intent: Intent): void
  confirmed(keys: string[], state: string): void
  refused(intent: Intent, error: RavenpostError): void
}

const MAX_IDS = 500
const LAST_WAIT_MS = 30_000
const BULK = ['read', 'archive', 'delete']

/** Sends the actions of the user one after the other, and repeats each until the server confirms or refuses it. */
export class Queue {
  readonly #options: QueueOptions
  #sending: Promise<void> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #failures = 0
  #last = 0

  constructor(options: QueueOptions) {
    this.#options = options
  }

  add(action: Action): Intent {
    const { inbox, overlay, added } = this.#options
    const of: Intent['of'] = {}
    for (const id of 'ids' in action ? action.ids : []) {
      const held = inbox.held.get(id)
      if (held) of[id] = held.item.updatedAt
    }
    const epoch = epochOf(inbox.state ?? '')
    const intent = { key: this.#newKey(), action, at: new Date().toISOString(), epoch, of }
    overlay.intents = [...overlay.intents, intent]
    added(intent)
    return intent
  }

  /** Sends the waiting actions. Tries again later if that fails. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#sending ??= this.#send()
      .then(
        () => {
          this.#failures = 0
        },
        (error) => this.#later(error),
      )
      .finally(() => {
        this.#sending = undefined
        if (this.#failures === 0 && this.#next().length > 0 && this.#options.isSender()) this.flush()
      })
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #later(error: unknown): void {
    const wait = Math.random() * Math.min(LAST_WAIT_MS, 1000 * 2 ** ++this.#failures)
    const asked = error instanceof RavenpostError && error.retryAfter ? error.retryAfter * 1000 : 0
    this.#timer = setTimeout(() => this.flush(), Math.max(wait, asked))
  }

  async #send(): Promise<void> {
    const { isSender, catchUp, confirmed, refused } = this.#options
    while (isSender() && this.#next().length > 0) {
      await catchUp()
      const intents = this.#next()
      const [first] = intents
      if (!first) continue
      const keys = intents.map(({ key }) => key)
      try {
        confirmed(keys, await this.#sendTogether(first.action, this.#idsOf(intents)))
      } catch (error) {
        if (!isFinal(error)) throw error
        for (const intent of intents) refused(intent, error)
      }
    }
  }

  /** The first unconfirmed intent, and the following ones that fit into the same request. */
  #next(): Intent[] {
    const waiting = this.#options.overlay.intents.filter(({ confirmed }) => confirmed === undefined)
    const type = waiting[0]?.action.type ?? ''
    if (!BULK.includes(type)) return waiting.slice(0, 1)
    let ids = 0
    const end = waiting.findIndex(({ action }, index) => {
      ids += 'ids' in action ? action.ids.length : 0
      return action.type !== type || (index > 0 && ids > MAX_IDS)
    })
    return end < 0 ? waiting : waiting.slice(0, end)
  }

  /** Omits notifications that changed after the user saw them. The user's action does not cover the new content. */
  #idsOf(intents: Intent[]): string[] {
    const { held } = this.#options.inbox
    const ids = intents.flatMap(({ action, of }) => {
      if (!('ids' in action)) return []
      const isMeant = (id: string) => !of[id] || (held.get(id)?.item.updatedAt ?? of[id]) === of[id]
      return action.ids.filter(isMeant)
    })
    return [...new Set(ids)]
  }

  /** Sends one request for several notifications. Resolves with the state after it. */
  async #sendTogether({ type, ...rest }: Action, ids: string[]): Promise<string> {
    const { request, inbox } = this.#options
    if ('upTo' in rest) {
      const [method, path] = type === 'seen' ? ['POST', 'seen'] : ['PATCH', 'mark-all-read']
      return (await request<Counts>(method, `/notifications/${path}`, { upTo: rest.upTo })).state
    }
    let state = inbox.state ?? ''
    const isBulk = BULK.includes(type)
    const size = isBulk ? MAX_IDS : 1
    for (let from = 0; from < ids.length; from += size) {
      const some = ids.slice(from, from + size)
      try {
        const counts = isBulk
          ? await request<Counts>('POST', `/notifications/${type}`, { ids: some })
          : await request<Counts>('PATCH', `/notifications/${some}/${type}`)
        state = counts.state
      } catch (error) {
        // The notification no longer exists, so the action is done.
        if (isBulk || !(error instanceof RavenpostError) || error.status !== 404) throw error
      }
    }
    return state
  }

  /** Creates a key that sorts by time and is unique to this tab. */
  #newKey(): string {
    this.#last = Math.max(Date.now(), this.#last + 1)
    return `${this.#last.toString(36).padStart(9, '0')}-${Math.random().toString(36).slice(2)}`
  }
}

/** True if a retry cannot succeed. */
function isFinal(error: unknown): error is RavenpostError {
  return error instanceof RavenpostError && error.status < 500 && ![401, 408, 409, 425, 429].includes(error.status)
}
