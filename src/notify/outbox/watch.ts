import type { FastifyInstance } from 'fastify'
import type { App } from '../../app.ts'
import { repeat } from '../../base/pulse.ts'
import { watchInstallation } from './adopt.ts'
import { makePartitionsInTime } from './partitions.ts'

const EVERY_MS = 1000

/** While the server listens, checks whether the database is still the same and whether its log has room. */
export function watchLog(server: FastifyInstance, { pool, log, config }: App): void {
  let watch: { close(): Promise<void> } | undefined
  server.addHook('onListen', async () => {
    watch = repeat(EVERY_MS, log, 'watching the log', async () => {
      if (await watchInstallation(pool, log)) await makePartitionsInTime(pool, log, config.outboxRetentionDays)
    })
  })
  server.addHook('onClose', async () => watch?.close())
}
