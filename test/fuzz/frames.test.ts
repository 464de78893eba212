import fc from 'fast-check'
import { test } from 'tap'
import { clientFrames } from '../../src/protocol/frames.ts'
import { signIn, signUp } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { startServerProcess } from '../server-process.ts'
import { cloneDatabase, eventually } from '../setup.ts'
import { hostile, runs, wild } from './arbitrary.ts'
import { watchGrowth } from './growth.ts'

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

/** What each of 8,000 further sockets left behind would show. */
const WARM_UP = 2_000
const MEASURE_EVERY = 500

/** Ten frames a socket; by hand `FUZZ_RUNS=100000 npm test -- --timeout=7200 test/fuzz/frames.test.ts`. */
test('for any input before and after hello, the node follows its protocol, keeps running and does not grow', async (t) => {
  t.setTimeout(7_200_000)
  const server = await startServerProcess(t, 'all', { DATABASE_URL: await cloneDatabase(t), RATE_LIMIT_SCALE: '1000' })
  const { url } = server
  let ana = await signUp(url, 'ana')
  const open = async (hello: boolean) => {
    const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
    if (!hello) return socket
    socket.send({ type: 'hello', token: ana.accessToken })
    await socket.next('synced')
    return socket
  }
  const codes = new Set<number>()
  const growth = watchGrowth(t, server, { warmUp: WARM_UP, every: MEASURE_EVERY })
  let n = 0
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 20 }), async (frames) => {
      n += 1
      const hello = n % 2 === 0
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
      if (n % MEASURE_EVERY !== 0) return
      await growth.measure(n)
      // Access tokens live for 15 minutes.
      ana = await signIn(url, 'ana')
    }),
    // A few random sockets may send nothing that is refused.
    { numRuns: Math.ceil(runs / 10), endOnFailure: true, examples: [[['{"type":']]] },
  )
  t.ok(codes.has(4400), 'some were not understood')
  t.same((await open(true)).of('welcome').length, 1, 'the node goes on')
  await eventually(async () => /^ravenpost_sockets 1$/m.test(await (await fetch(`${url}/metrics`)).text()))
  growth.check()
})
