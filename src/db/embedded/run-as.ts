import { execFile, spawnSync } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { StartError } from '../../base/process/start-error.ts'

const run = promisify(execFile)

/** How to run PostgreSQL's programs: `prefix` precedes the command line, `ids` are options of spawn. */
export type RunAs = { prefix: string[]; ids: { uid?: number; gid?: number }; owner?: { uid: number; gid: number } }

/**
 * PostgreSQL refuses to run as root. So root runs it as the system user `postgres`, which is created if missing; other
 * users run it as themselves. If that user may not enter a parent folder (such as a checkout in /root), the program
 * gets the capability to enter folders and read files, and no other.
 */
export async function chooseRunAs(program: string, dataDir: string, log: Logger): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { prefix: [], ids: {} }
  const owner = (await findUser()) ?? (await makeUser(log))
  await chmod(dataDir, 0o711)
  const plain: RunAs = { prefix: [], ids: owner, owner }
  if (mayUse(plain, program, dataDir)) return plain
  const capability = '+dac_read_search'
  const drop = ['--reuid', `${owner.uid}`, '--regid', `${owner.gid}`, '--clear-groups']
  const caps = ['--inh-caps', capability, '--ambient-caps', capability]
  // PostgreSQL looks for its programs with access(2), which counts capabilities only under this bit.
  const bits = ['--securebits', '+no_setuid_fixup']
  const capable: RunAs = { prefix: ['setpriv', ...drop, ...caps, ...bits, '--'], ids: {}, owner }
  if (mayUse(capable, program, dataDir)) return capable
  throw new StartError(
    `When started by root, PostgreSQL runs as the user postgres, who cannot access ${dataDir} or run ${program}: ` +
      'move both where other users may enter, set DATABASE_URL, or start Ravenpost as an ordinary user',
  )
}

async function findUser(): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}

async function makeUser(log: Logger): Promise<{ uid: number; gid: number }> {
  log.info('creating the system user postgres, because PostgreSQL does not run as root')
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'])
  } catch (cause) {
    throw new StartError('Cannot create the user postgres: create it, or start Ravenpost as an ordinary user', {
      cause,
    })
  }
  const made = await findUser()
  if (!made) throw new StartError('The user postgres was created but cannot be found')
  return made
}

/** Tests it as PostgreSQL will: runs the program, and asks access(2) for it. */
function mayUse({ prefix, ids }: RunAs, program: string, dataDir: string): boolean {
  const attempts = [
    [...prefix, program, '--version'],
    [...prefix, 'test', '-x', program],
    [...prefix, 'ls', '-d', `${dataDir}/.`],
  ]
  return attempts.every(([command = '', ...args]) => spawnSync(command, args, { ...ids, cwd: '/' }).status === 0)
}
