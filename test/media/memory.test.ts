import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { test } from 'tap'
import { signUp } from '../client.ts'
import { startServerProcess } from '../server-process.ts'
import { cloneDatabase } from '../setup.ts'
import { picture, upload } from './files.ts'

const MIB = 1024 * 1024

/**
 * As many bytes go first in small files: the young generation of V8 and the caches of malloc reach their sizes once, whatever is
 * sent. Both figures are the highest seen; a server that held the large file would stand out by all of it.
 */
test('50 MiB go up and down while the memory of the server grows by less than 32 MiB', async (t) => {
  t.setTimeout(300_000)
  // A process of its own: the memory of this one holds the file.
  const { url, child } = await startServerProcess(t, 'api', { DATABASE_URL: await cloneDatabase(t) })
  const ana = await signUp(url, 'ana')
  const warmingUp = watch(child)
  for (let i = 0; i < 10; i++) await download(url, (await upload(url, ana, picture(5 * MIB))).body.id)
  const before = await warmingUp.end()

  const peak = watch(child)
  const bytes = Buffer.concat([picture(1000), randomBytes(50 * MIB - 1000)])
  const { status, body } = await upload(url, ana, bytes)
  t.match({ status, body }, { status: 201, body: { size: 50 * MIB } })
  t.equal(await download(url, body.id), createHash('sha256').update(bytes).digest('hex'))
  const grown = (await peak.end()) - before
  t.ok(grown < 32, `grew by ${grown.toFixed(1)} MiB above ${before.toFixed(1)} MiB`)
  t.comment(`grew by ${grown.toFixed(1)} MiB above ${before.toFixed(1)} MiB`)
})

async function download(url: string, id: string): Promise<string> {
  const { body } = await fetch(`${url}/media/${id}/stream`)
  const hash = createHash('sha256')
  if (body) for await (const part of Readable.fromWeb(body as never)) hash.update(part)
  return hash.digest('hex')
}

/** The highest value seen until the end. */
function watch(child: ChildProcess): { end(): Promise<number> } {
  let [highest, ended] = [0, false]
  const watching = (async () => {
    while (!ended) {
      highest = Math.max(highest, await residentMiB(child))
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
