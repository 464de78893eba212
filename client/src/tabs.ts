/** What tabs of one user send each other. */
export type Message = { type: string }

export type TabsOptions<M extends Message> = {
  /** Of the user and the server: the tabs of one name have one leader. */
  name: string
  /** Whether this tab is to hold the socket; not before the answer is known. May be called again with the same answer. */
  onRole(isLeader: boolean): void
  onMessage(message: M): void
  /** What the leader sends with each beat. */
  beat(): M
}

export type Tabs<M extends Message> = { post(message: M): void; close(): void }

const BEAT_MS = 2500
/** A frozen tab keeps its lock: after this long without a beat, and one more question, it is taken away. */
const SILENCE_MS = 6000

/**
 * Elects one tab by a Web Lock. The leader beats; a visible tab that hears nothing takes the lock away, within 12 s. Two
 * leaders for a moment are harmless: changes are folded by their states. Undefined where the browser lacks what it takes.
 */
export function joinTabs<M extends Message>({ name, onRole, onMessage, beat }: TabsOptions<M>): Tabs<M> | undefined {
  const locks = globalThis.navigator?.locks
  const page = globalThis.document
  if (!locks || typeof BroadcastChannel === 'undefined') return undefined
  const channel = new BroadcastChannel(name)
  let asking: AbortController | undefined
  let release: (() => void) | undefined
  let isLeader = false
  let heardAt = Date.now()
  let wasAsked = false

  const lead = () => {
    isLeader = true
    onRole(true)
    channel.postMessage(beat())
    return new Promise<void>((resolve) => {
      release = resolve
    })
  }
  const stand = async (steal: boolean): Promise<void> => {
    asking?.abort()
    const own = new AbortController()
    asking = own
    // `steal` and `signal` exclude each other.
    const options = steal ? { steal } : { signal: own.signal }
    const error: unknown = await locks
      .request(name, options, () => (own.signal.aborted ? undefined : lead()))
      .catch(toError)
    if (own.signal.aborted) return
    // Refused to this page for good: a socket of its own.
    if (error instanceof Error && error.name !== 'AbortError') return onRole(true)
    follow()
    return stand(false)
  }
  const follow = () => {
    isLeader = false
    heardAt = Date.now()
    onRole(false)
  }
  const leave = () => {
    asking?.abort()
    asking = undefined
    release?.()
    if (isLeader) follow()
  }
  const back = () => {
    if (!asking) void stand(false)
  }
  const look = () => {
    if (isLeader) return channel.postMessage(beat())
    if (Date.now() - heardAt < SILENCE_MS) return
    if (wasAsked && page?.visibilityState !== 'hidden') {
      wasAsked = false
      heardAt = Date.now()
      void stand(true)
    } else {
      wasAsked = true
      channel.postMessage({ type: 'who' })
    }
  }

  channel.onmessage = ({ data }: MessageEvent) => {
    if (data.type === 'who') return isLeader && channel.postMessage(beat())
    if (data.type === 'beat') {
      heardAt = Date.now()
      wasAsked = false
    }
    onMessage(data)
  }
  const timer = setInterval(look, BEAT_MS)
  page?.addEventListener('freeze', leave)
  page?.addEventListener('resume', back)
  globalThis.addEventListener?.('pagehide', leave)
  globalThis.addEventListener?.('pageshow', back)
  void stand(false)
  channel.postMessage({ type: 'who' })

  return {
    post: (message) => channel.postMessage(message),
    close() {
      leave()
      clearInterval(timer)
      page?.removeEventListener('freeze', leave)
      page?.removeEventListener('resume', back)
      globalThis.removeEventListener?.('pagehide', leave)
      globalThis.removeEventListener?.('pageshow', back)
      channel.close()
    },
  }
}

function toError(error: unknown): unknown {
  return error
}
