import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { type Test, test } from 'tap'
import { signUp, type TestClient } from '../client.ts'
import { startServerProcess } from '../server-process.ts'
import { cloneDatabase } from '../setup.ts'
import { picture, upload } from './files.ts'

const MIB = 1024 * 1024

/**
 * As many bytes go first in small files: the young generation of V8 and the caches of malloc reach their sizes once, whatever is
 * sent. Resident is the highest seen, with what waits to be collected: Node reads into new buffers of 64 KiB each, of which there
 * may be some 60 MiB before V8 does. So a second file is sent while V8 is made to collect: what is kept then is of the file.
 */
test('50 MiB go up and down while the memory of the server grows by less than 32 MiB, of which less than 16 are kept', async (t) => {
  t.setTimeout(300_000)
  // A process of its own: the memory of this one holds the file.
  const server = await startServerProcess(t, 'api', { DATABASE_URL: await cloneDatabase(t) })
  const { url, child } = server
  const ana = await signUp(url, 'ana')
  const warmingUp = watch(() => residentMiB(child))
  for (let i = 0; i < 10; i++) await download(url, (await upload(url, ana, picture(5 * MIB))).body.id)
  const before = await warmingUp.end()

  const peak = watch(() => residentMiB(child))
  await upAndDown(t, url, ana)
  const grown = (await peak.end()) - before
  t.ok(grown < 32, `grew by ${grown.toFixed(1)} MiB above ${before.toFixed(1)} MiB`)
  t.comment(`grew by ${grown.toFixed(1)} MiB above ${before.toFixed(1)} MiB`)

  const { heap: idle } = await server.memory()
  const keeping = watch(async () => (await server.memory()).heap)
  await upAndDown(t, url, ana)
  const kept = (await keeping.end()) - idle
  t.ok(kept < 16, `${kept.toFixed(1)} MiB are kept of a file under way`)
  t.comment(`${kept.toFixed(1)} MiB are kept of a file under way`)
})

async function upAndDown(t: Test, url: string, ana: TestClient): Promise<void> {
  const bytes = Buffer.concat([picture(1000), randomBytes(50 * MIB - 1000)])
  const { status, body } = await upload(url, ana, bytes)
  t.match({ status, body }, { status: 201, body: { size: 50 * MIB } })
  t.equal(await download(url, body.id), createHash('sha256').update(bytes).digest('hex'))
}

async function download(url: string, id: string): Promise<string> {
  const { body } = await fetch(`${url}/media/${id}/stream`)
  const hash = createHash('sha256')
  if (body) for await (const part of Readable.fromWeb(body as never)) hash.update(part)
  return hash.digest('hex')
}

/** The highest value seen until the end. */
function watch(measure: () => Promise<number>): { end(): Promise<number> } {
  let [highest, ended] = [0, false]
  const watching = (async () => {
    while (!ended) {
      highest = Math.max(highest, await measure())
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  return {
    async end() {
      ended = true
      await watching
      return highest
    },
  }
}

async function residentMiB({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}
