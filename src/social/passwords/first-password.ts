import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../config.ts'

export type FirstPassword = { password: string; shown: { onTerminal: true } | { inFile: string } }

/**
 * Generates a password for the admin of our own database and shows it on a terminal. Without a terminal, output is
 * usually collected in logs. So the password goes into a file that only the process's user can read.
 */
export async function makeFirstPassword(config: Config, isTerminal: boolean): Promise<FirstPassword> {
  const password = randomBytes(12).toString('base64url')
  if (isTerminal) return { password, shown: { onTerminal: true } }
  const inFile = firstPasswordFile(config)
  await rm(inFile, { force: true })
  await writeFile(inFile, `${password}\n`, { mode: 0o600, flag: 'wx', flush: true })
  return { password, shown: { inFile } }
}

/** Path of the file with the first password. It is deleted when the password changes. */
export function firstPasswordFile({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'admin-password')
}
