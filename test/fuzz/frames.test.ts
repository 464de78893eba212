import fc from 'fast-check'
import { test } from 'tap'
import { clientFrames } from '../../src/push/protocol.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup } from '../setup.ts'
import { hostile, runs, wild } from './arbitrary.ts'

const text = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.oneof(...Object.values(clientFrames).map(wild)).map((frame) => JSON.stringify(frame) ?? ''),
  },
  { weight: 1, arbitrary: hostile },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '[',
      '{"type":',
      `${'['.repeat(20_000)}`,
      '{"__proto__":{"type":"ping"}}',
      'x'.repeat(70_000),
    ),
  },
)

test('whatever a socket is sent, before and after its hello, the node answers in its protocol and goes on', async (t) => {
  const { as, url, push } = await setup(t, { push: true })
  const ana = await as('ana')
  const open = async (hello: boolean) => {
    const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
    if (!hello) return socket
    socket.send({ type: 'hello', token: ana.accessToken })
    await socket.next('synced')
    return socket
  }
  const codes = new Set<number>()
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 20 }), fc.boolean(), async (frames, hello) => {
      const socket = await open(hello)
      for (const frame of frames) socket.socket.send(frame)
      socket.send({ type: 'ping' })
      await eventually(() => socket.closeCode !== undefined || socket.of('pong').length > 0)
      socket.socket.close()
      const code = await eventually(() => socket.closeCode)
      codes.add(code)
      const known = [1005, 1009, 4400, 4401, 4403, 4429]
      if (!known.includes(code)) throw new Error(`closed with ${code}`)
      if (socket.of('error').some((error) => error.code === 'INTERNAL')) throw new Error('a frame was not foreseen')
    }),
    { numRuns: Math.ceil(runs / 10), endOnFailure: true },
  )
  t.ok(codes.has(4400), 'some were not understood')
  t.same((await open(true)).of('welcome').length, 1, 'the node goes on')
  await eventually(() => push?.stats().sockets === 1)
})
