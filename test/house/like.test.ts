import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup } from '../setup.ts'

const root = `${import.meta.dirname}/../..`
/** Those of every request and of timers included: 55 at commit 78cc989, which had no previews, webhooks, live content and metrics of requests. */
const MOST_FILES = 80

t.test('a like runs code of few files, from the request to the frame', async (t) => {
  // No sweep runs meanwhile, so the number does not depend on how long the like takes.
  const env = { SWEEP_INTERVAL_MS: '60000' }
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0, env })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const posts = [await ana.post('first'), await ana.post('second')]
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const like = async (place: number) => {
    await ben.like(posts[place]?.id ?? '')
    await eventually(() => socket.upserts.length === place + 1)
  }
  // The first one loads and compiles what later ones only use.
  await like(0)
  const files = await filesRunBy(() => like(1))
  t.comment(`${files.length} files: ${files.join(', ')}`)
  t.ok(files.includes('src/social/likes/write.ts') && files.includes('src/notify/dispatch/dispatch.ts'))
  t.ok(files.length <= MOST_FILES, `${files.length} files`)
})

/** Sources of which a function ran during `action`. */
async function filesRunBy(action: () => Promise<void>): Promise<string[]> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await session.post('Profiler.takePreciseCoverage')
  await action()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.stopPreciseCoverage')
  session.disconnect()
  return result
    .filter(({ functions }) => functions.some(({ ranges }) => ranges.some(({ count }) => count > 0)))
    .map(({ url }) => (url.startsWith('file:') ? relative(root, fileURLToPath(url)) : ''))
    .filter((path) => /^(src|workers)\//.test(path))
    .sort()
}
