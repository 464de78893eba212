import { WebSocket } from 'ws'

/** The socket of one user. Both protocols use the same websocket library, so that receiving costs the same. */
export type Client = { close(): void; cut(): void }

export type ClientEvents = {
  /** Called with the liked post, once per notification in a frame. */
  notified(post: number): void
  /** The client has caught up; later frames are live. */
  synced(): void
  closed(code: number): void
}

export type ClientOptions = { url: string; token: string; since?: string; remember?: (position: string) => void }

type RavenpostFrame = {
  type: string
  to?: string
  more?: boolean
  upserts?: { type: string; object: { id: string } | null }[]
}

export function ravenpostClient({ url, token, since, remember }: ClientOptions, events: ClientEvents): Client {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, 'ravenpost.v1', { perMessageDeflate: false })
  socket.on('open', () => socket.send(JSON.stringify({ type: 'hello', token, since })))
  socket.on('message', (data) => {
    const frame: RavenpostFrame = JSON.parse(data.toString())
    if (frame.type === 'synced') return events.synced()
    if (frame.type !== 'changes' || !frame.upserts || !frame.to) return
    for (const { type, object } of frame.upserts)
      if (type === 'post.liked' && object) events.notified(Number(object.id))
    remember?.(frame.to)
    if (frame.upserts.length > 0) socket.send(JSON.stringify({ type: 'ack', state: frame.to }))
  })
  return endings(socket, events)
}

/**
 * Socket.IO 4 over Engine.IO 4 with the websocket transport (socket.io/docs/v4/engine-io-protocol): 0 open, 2 ping, 3 pong,
 * 40 connect, 42 event.
 */
export function socketIoClient({ url, token, since, remember }: ClientOptions, events: ClientEvents): Client {
  const address = `${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`
  const socket = new WebSocket(address, { perMessageDeflate: false })
  socket.on('message', (data) => {
    const text = data.toString()
    if (text === '2') return socket.send('3')
    if (text.startsWith('0')) return socket.send(`40${JSON.stringify({ token, serverOffset: since ?? '0' })}`)
    if (!text.startsWith('42')) return
    const [name, notification] = JSON.parse(text.slice(2))
    if (name === 'synced') return events.synced()
    events.notified(Number(notification.data.postId))
    remember?.(notification.id)
    socket.send(`42${JSON.stringify(['ack', notification.id])}`)
  })
  return endings(socket, events)
}

function endings(socket: WebSocket, events: ClientEvents): Client {
  socket.on('close', (code) => events.closed(code))
  socket.on('error', () => {})
  return { close: () => socket.close(), cut: () => socket.terminate() }
}
