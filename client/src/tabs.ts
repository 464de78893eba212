/** A message between the tabs of one user. */
export type Message = { type: string }

export type TabsOptions<M extends Message> = {
  /** Name for the user and the server. Tabs of the same name elect one leader. */
  name: string
  /**
   * Reports whether this tab holds the socket. First called when the election is decided, possibly again with the same result.
   */
  onRole(isLeader: boolean): void
  onMessage(message: M): void
  /** Creates the message that the leader sends with each beat. */
  beat(): M
}

export type Tabs<M extends Message> = { post(message: M): void; close(): void }

const BEAT_MS = 2500
/** Milliseconds without a beat after which the leader is asked once more and then replaced. A frozen tab keeps its lock. */
const SILENCE_MS = 6000

/**
 * Elects a leader among the tabs by a Web Lock. The leader sends beats; without beats, a visible tab steals the lock within 12
 * s. Two leaders for a moment do no harm, because changes carry their states. Undefined if the browser lacks a feature.
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
    // The Web Locks API does not allow `steal` together with `signal`.
    const options = steal ? { steal } : { signal: own.signal }
    const error: unknown = await locks
      .request(name, options, () => (own.signal.aborted ? undefined : lead()))
      .catch(toError)
    if (own.signal.aborted) return
    // The browser refuses locks to this page, so the tab opens its own socket.
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
