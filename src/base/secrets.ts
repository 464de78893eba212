import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { StartError } from './process/start-error.ts'

const Secrets = Type.Object({
  jwtSecret: Type.String({ minLength: 32 }),
  postgresPassword: Type.String({ minLength: 1 }),
})

export type Secrets = Static<typeof Secrets>

/**
 * The secrets of an installation without DATABASE_URL: created once in the data directory, readable only by its owner.
 * Requires the lock of the data directory.
 * @throws {StartError} when the file exists but cannot be used, because new secrets would invalidate all tokens
 */
export async function keepSecrets(dataDir: string): Promise<Secrets> {
  const file = join(dataDir, 'secrets.json')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text !== undefined) return parse(text, file)
  const secrets = { jwtSecret: secret(), postgresPassword: secret() }
  await writeFile(`${file}.new`, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
  return secrets
}

const secret = () => randomBytes(32).toString('base64url')

function parse(text: string, file: string): Secrets {
  try {
    const secrets: unknown = JSON.parse(text)
    if (Value.Check(Secrets, secrets)) return secrets
  } catch {
    // Reported below without the content.
  }
  throw new StartError(`${file} was changed: restore the original from a backup`)
}
