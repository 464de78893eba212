import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { withFreshDatabase } from './fresh-database.ts'

/** `npm run tables [-- --check]`: writes Kysely's table types, or fails when they differ from the migrations. */
const file = fileURLToPath(new URL('../../db/tables.ts', import.meta.url))
const options = ['--dialect', 'postgres', '--camel-case', '--include-pattern', '{social,notify}.*', '--out-file', file]
const mode = process.argv.includes('--check') ? ['--verify'] : []

process.exitCode = await withFreshDatabase(async (url) => {
  const { status } = spawnSync('kysely-codegen', ['--url', url, ...options, ...mode], { stdio: 'inherit' })
  return status ?? 1
})
