import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import type { Past } from '../../faults/past.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { type RedisServer, startRedis } from './redis.ts'

export type Machine = {
  postgres: Postgres
  redis: RedisServer
  /** Past of each database at the beginning of a run. */
  past: Past
  describe(): Record<string, unknown>
  stop(): Promise<void>
}

export async function startMachine(past: Past): Promise<Machine> {
  const postgres = await startPostgres()
  const redis = await startRedis()
  return {
    postgres,
    redis,
    past,
    describe: () => ({
      past,
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: said('uname', '-r'),
      node: process.version,
      postgres: { version: postgres.version, ...postgres.settings },
      redis: { version: said('redis-server', '--version'), appendonly: 'yes', appendfsync: 'everysec' },
      commit: said('git', 'rev-parse', '--short', 'HEAD'),
    }),
    async stop() {
      await redis.stop()
      await postgres.stop()
    },
  }
}

function said(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' }).trim()
}
