import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { App } from '../app.ts'
import { listeningSince, sockets } from '../base/metrics.ts'
import { Pulse } from '../base/pulse.ts'
import { COUNTS_CHANNEL, decodeChangedInboxes, INBOX_CHANNEL, SESSION_CHANNEL } from '../base/wake-ups.ts'
import { scaledLimit } from '../config.ts'
import { createKysely } from '../db/kysely.ts'
import { Listener } from '../db/listener.ts'
import { createPool, isPooled } from '../db/pool.ts'
import { fail } from '../errors.ts'
import { RefusedOrigins } from '../http/origin.ts'
import { checkInstallation } from '../notify/outbox/adopt.ts'
import { NotificationTypes } from '../notify/types/types.ts'
import { type BadFrame, type ClientFrame, notText, parseFrame, SUBPROTOCOL } from '../protocol/frames.ts'
import type { LiveContent } from '../protocol/live-content.ts'
import { Connection } from './connections/connection.ts'
import { answerFrame } from './connections/frames.ts'
import { Heartbeats } from './connections/heartbeats.ts'
import { handleHello } from './connections/hello.ts'
import { createWelcomes, type Welcomes } from './connections/welcomes.ts'
import { Acknowledgements } from './hub/acknowledgements.ts'
import { DoubtedSessions } from './hub/doubted-sessions.ts'
import { Hub } from './hub/hub.ts'
import { sweep } from './hub/sweep.ts'
import { Watching } from './hub/watching.ts'
import type { Limits } from './limits.ts'
import { Newcomers } from './newcomers.ts'
import { refusal, refuse } from './upgrade.ts'

/** The sockets of one process, and their services. */
export class Node {
  readonly hub: Hub
  readonly listener: Listener
  readonly connections = new Set<Connection>()
  readonly #app: App
  /** The same app with this node's own pool, for everything except changes that clients request. */
  readonly #own: App
  readonly #limits: Limits
  readonly #path: string
  readonly #wss: WebSocketServer
  readonly #newcomers: Newcomers
  readonly #refusedOrigins: RefusedOrigins
  readonly #welcomes: Welcomes
  readonly #watching: Watching
  readonly #doubted: DoubtedSessions
  readonly #acknowledgements: Acknowledgements
  readonly #heartbeats: Heartbeats
  /** Pending work on frames. The pool closes only after it. */
  readonly #working = new Set<Promise<void>>()
  readonly #sweeps = new Pulse(() => this.#sweep())
  #closed = false
  #closing: Promise<void> | undefined

  constructor(app: App, content: LiveContent, limits: Limits, path: string) {
    this.#app = app
    this.#limits = limits
    this.#path = path
    this.#own = withOwnPool(app, limits)
    this.hub = new Hub(this.#own, limits)
    this.#newcomers = new Newcomers(app, limits)
    this.#refusedOrigins = new RefusedOrigins(app.log)
    this.#welcomes = createWelcomes(this.#own.pool)
    this.#watching = new Watching(this.#own, content, limits)
    this.#doubted = new DoubtedSessions(this.#own, this.hub)
    this.#acknowledgements = new Acknowledgements(this.#own, limits)
    this.#heartbeats = new Heartbeats(limits.heartbeatMs)
    this.#wss = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.maxPayload,
      handleProtocols: () => SUBPROTOCOL,
    })
    this.listener = new Listener(app, [INBOX_CHANNEL, SESSION_CHANNEL, COUNTS_CHANNEL], {
      notification: (channel, payload) => this.#heard(channel, payload),
      connected: () => {
        listeningSince.setToCurrentTime()
        this.#doubtAll()
      },
    })
  }

  async start(): Promise<void> {
    await this.listener.start()
    this.#sweeps.requestIn(this.#app.config.sweepIntervalMs)
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const network = this.#newcomers.networkOf(request)
    const refused = this.#newcomers.refusal(network) ?? refusal(request, this.#path, this.#app.config)
    if (refused?.code === 'ORIGIN_NOT_ALLOWED') this.#refusedOrigins.note(request.headers.origin ?? '', 'websockets')
    if (refused) refuse(socket, request, refused)
    else if (this.#closed) refuse(socket, request, fail('BUSY', 'The server is shutting down'))
    else this.#wss.handleUpgrade(request, socket, head, (ws) => this.#connected(ws, network))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed = true
    const swept = this.#sweeps.close()
    this.#heartbeats.close()
    const gone = [...this.connections].map(
      (connection) => new Promise((resolve) => connection.socket.once('close', resolve)),
    )
    for (const connection of this.connections) connection.close('goingAway')
    const cut = setTimeout(() => {
      for (const connection of this.connections) connection.socket.terminate()
    }, this.#limits.closeMs)
    await Promise.all([...gone, this.listener.close()])
    clearTimeout(cut)
    await Promise.all([this.hub.close(), this.#watching.close(), this.#doubted.close(), swept, ...this.#working])
    await this.#acknowledgements.close()
    await this.#own.pool.end()
  }

  #connected(socket: WebSocket, network: string): void {
    const { log, config } = this.#app
    const budget = scaledLimit(config, this.#limits.frameBudget)
    const connection = new Connection(socket, log, this.#limits, budget, this.#drained)
    this.connections.add(connection)
    sockets.inc()
    connection.expectHello()
    socket.on('error', (err) => connection.log('debug', { err }, 'socket error'))
    socket.on('close', (code) => {
      connection.stopTimer()
      sockets.dec()
      this.connections.delete(connection)
      this.hub.leave(connection)
      this.#watching.leave(connection)
      this.#heartbeats.delete(connection)
      connection.log('info', { code }, 'socket closed')
    })
    // Websocket pings are frames too. The ws library closes a socket whose pongs pile up.
    socket.on('ping', () => this.#maySpend(connection, this.#limits.ackCost))
    // Answers frames one at a time, in the order of arrival.
    let last: Promise<void> = Promise.resolve()
    socket.on('message', (data, isBinary) => {
      if (!connection.open) return
      // The first frame has arrived, so the wait for a hello ends.
      if (connection.phase === 'hello') connection.stopTimer()
      const frame = isBinary ? notText : parseFrame(data.toString())
      const cost = frame.type === 'ack' ? this.#limits.ackCost : this.#limits.frameCost
      if (!this.#maySpend(connection, cost)) return
      const work = last.then(() => this.#answer(connection, frame, network))
      last = work
      this.#working.add(work)
      work.finally(() => this.#working.delete(work))
    })
  }

  #maySpend(connection: Connection, cost: number): boolean {
    if (connection.maySpend(cost) && this.hub.maySpend(connection, cost)) return true
    connection.close('tooMany', 'too many frames')
    return false
  }

  async #answer(connection: Connection, frame: ClientFrame | BadFrame, network: string): Promise<void> {
    if (!connection.open) return
    const { hub } = this
    const [app, limits, acknowledgements, watching] = [this.#app, this.#limits, this.#acknowledgements, this.#watching]
    try {
      if (connection.phase === 'hello') {
        await handleHello({ app: this.#own, hub, limits, welcomes: this.#welcomes }, connection, frame)
        if (connection.phase !== 'hello') this.#newcomers.proved(network)
        if (connection.open) this.#heartbeats.add(connection)
      } else await answerFrame({ app, limits, acknowledgements, watching }, connection, frame)
    } catch (err) {
      connection.log('error', { err }, 'hello could not be answered')
      connection.close('goingAway', 'try again')
    }
  }

  /** Callback for a drained socket. One function for all sockets saves memory. */
  readonly #drained = (connection: Connection): void => {
    this.hub.readFor(connection)
    this.#watching.drained(connection)
  }

  /** Handles a hint. Any role of the database can send one, so it only triggers a limited check in the database. */
  #heard(channel: string, payload: string): void {
    if (channel === INBOX_CHANNEL) {
      for (const [userId, modseq] of decodeChangedInboxes(payload)) this.hub.heard(userId, modseq)
    } else if (channel === COUNTS_CHANNEL) this.#watching.heard(payload)
    else if (channel === SESSION_CHANNEL) this.#doubted.doubt(payload)
  }

  /** After lost notifications, reads all states again at once, and looks up the sessions too. */
  #doubtAll(): void {
    this.hub.doubtAll()
    this.#watching.doubtAll()
    this.#sweeps.request()
  }

  async #sweep(): Promise<void> {
    try {
      await sweep(this.#own, this.hub)
      this.#watching.doubtAll()
    } catch (err) {
      this.#app.log.warn({ err }, 'the sweep failed')
    }
    this.#sweeps.requestIn(this.#app.config.sweepIntervalMs)
  }
}

function withOwnPool(app: App, { poolSize, queryMs }: Limits): App {
  const { config, log } = app
  const pool = createPool({
    url: config.databaseUrl,
    size: poolSize,
    log,
    name: 'push',
    queryTimeoutMs: queryMs,
    pooled: isPooled(config),
    onConnect: checkInstallation,
  })
  return { ...app, pool, db: createKysely(pool), types: new NotificationTypes(pool, log) }
}
