import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../config.ts'

export type FirstPassword = { password: string; shown: { onTerminal: true } | { inFile: string } }

/**
 * A password for the admin of our own database: for the terminal where there is one. What is written elsewhere is collected and
 * kept as a log, so the password then goes into a file that only the owner of the process may read.
 */
export async function makeFirstPassword(config: Config, isTerminal: boolean): Promise<FirstPassword> {
  const password = randomBytes(12).toString('base64url')
  if (isTerminal) return { password, shown: { onTerminal: true } }
  const inFile = firstPasswordFile(config)
  await rm(inFile, { force: true })
  await writeFile(inFile, `${password}\n`, { mode: 0o600, flag: 'wx', flush: true })
  return { password, shown: { inFile } }
}

/** Removed when the password is changed. */
export function firstPasswordFile({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'admin-password')
}
