import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { TestSocket } from '../push/socket.ts'
import { settled } from '../settled.ts'
import { eventually, setup } from '../setup.ts'

const root = `${import.meta.dirname}/../..`
/** With those of every request and of the polls: 55 at commit 78cc989, which had no previews, webhooks, live content and metrics of requests. */
const MOST_FILES = 72
/** Without them: files that neither another request nor the timers of an idle system run. */
const MOST_OF_ITS_OWN = 42
/** Files that timers run in an idle minute, but for the sweep: each second, each heartbeat, and when positions move. */
const TIMERS = new Set([
  ...['src/worker/poll.ts', 'src/notify/outbox/adopt.ts', 'src/push/connections/heartbeats.ts'],
  'src/notify/outbox/consume.ts',
])

t.test('a like runs code of few files, from the request to the frame', async (t) => {
  // Sweeps are rare, so the number does not depend on how long a like takes.
  const env = { SWEEP_INTERVAL_MS: '60000' }
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0, env })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const posts = [await ana.post('one'), await ana.post('two'), await ana.post('three'), await ana.post('four')]
  const like = () =>
    filesRunBy(async () => {
      const before = socket.upserts.length
      await ben.like(String(posts.pop()?.id))
      await eventually(() => socket.upserts.length > before)
    })
  // The first one loads and compiles what later ones only use.
  await like()
  await settled(system)
  // A timer may fire during one like. It is left out, because it does not fire during all.
  const [first, ...others] = [await like(), await like(), await like()]
  const files = others.reduce((common, other) => common.intersection(other), first)
  const anyway = await filesRunBy(async (soFar) => {
    await ben.get('/auth/me')
    // Positions move once a minute.
    await system.pool.query(`update notify.positions set moved_at = now() - interval '2 minutes'`)
    await eventually(async () => (await soFar()).isSupersetOf(TIMERS))
  })
  const own = files.difference(anyway)
  t.comment(`${own.size} files: ${[...own].sort().join(', ')}`)
  t.comment(`${files.size - own.size} more that run anyway: ${[...files.difference(own)].sort().join(', ')}`)
  t.ok(own.has('src/social/likes/write.ts') && own.has('src/notify/dispatch/dispatch.ts'))
  t.ok(own.size <= MOST_OF_ITS_OWN, `${own.size} files of its own`)
  t.ok(files.size <= MOST_FILES, `${files.size} files`)
})

/** Sources of which a function ran during `action`. It may ask which ones ran so far. */
async function filesRunBy(action: (soFar: () => Promise<Set<string>>) => Promise<unknown>): Promise<Set<string>> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await session.post('Profiler.takePreciseCoverage')
  const found = new Set<string>()
  const soFar = async () => {
    const { result } = await session.post('Profiler.takePreciseCoverage')
    for (const { url, functions } of result) {
      const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : ''
      const hasRun = functions.some(({ ranges }) => ranges.some(({ count }) => count > 0))
      if (hasRun && /^(src|workers)\//.test(path)) found.add(path)
    }
    return found
  }
  await action(soFar)
  await soFar()
  await session.post('Profiler.stopPreciseCoverage')
  session.disconnect()
  return found
}
