import type { Test } from 'tap'
import { type ClientOptions, WebSocket } from 'ws'
import type { ServerFrame } from '../../src/protocol/frames.ts'
import { eventually } from '../setup.ts'

type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>

/** A raw websocket that keeps every frame it was sent. */
export class TestSocket {
  readonly socket: WebSocket
  readonly frames: ServerFrame[] = []
  closeCode: number | undefined
  #taken = new Map<string, number>()

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.frames.push(JSON.parse(data.toString())))
    socket.on('close', (code) => {
      this.closeCode = code
    })
    socket.on('error', () => {})
  }

  static async open(t: Test, url: string, options: ClientOptions = {}): Promise<TestSocket> {
    const socket = new TestSocket(new WebSocket(url, 'ravenpost.v1', options))
    t.teardown(() => socket.socket.terminate())
    await new Promise((resolve, reject) => {
      socket.socket.once('open', resolve)
      socket.socket.once('error', reject)
    })
    return socket
  }

  send(frame: object): void {
    this.socket.send(JSON.stringify(frame))
  }

  of<T extends ServerFrame['type']>(type: T): FrameOf<T>[] {
    return this.frames.filter((frame): frame is FrameOf<T> => frame.type === type)
  }

  /** The next frame of this type that was not taken yet. */
  async next<T extends ServerFrame['type']>(type: T, seconds?: number): Promise<FrameOf<T>> {
    const place = this.#taken.get(type) ?? 0
    const frame = await eventually(() => this.of(type)[place], seconds)
    this.#taken.set(type, place + 1)
    return frame
  }

  closed(seconds?: number): Promise<number> {
    return eventually(() => this.closeCode, seconds)
  }

  /** The state after the last frame that carries one. */
  get state(): string | undefined {
    return this.frames
      .flatMap((f) => (f.type === 'changes' ? [f.to] : f.type === 'synced' || f.type === 'reset' ? [f.state] : []))
      .at(-1)
  }

  /** Ids of all notifications sent, in the order of their frames. */
  get upserts(): string[] {
    return this.of('changes').flatMap(({ upserts }) => upserts.map(({ id }) => id))
  }
}
