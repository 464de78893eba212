import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { startEmbedded } from '../../db/embedded/embedded.ts'
import { migrate } from '../../migrate.ts'

/** Runs `work` with the URL of an empty, migrated database on a temporary embedded server. */
export async function withFreshDatabase<T>(work: (url: string) => Promise<T>): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ravenpost-'))
  const log = pino({ level: 'warn' })
  try {
    const { url, stop } = await startEmbedded(dataDir, log)
    try {
      await migrate(url, log)
      return await work(url)
    } finally {
      await stop()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}
