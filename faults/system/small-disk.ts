import { execFile } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SIZE = '700m'
const MEBIBYTE = 2 ** 20

/** A disk in memory, small enough to fill. Only root can mount it. */
export type SmallDisk = {
  folder: string
  /** Fills the disk completely. */
  fill(): void
  /** Frees the space again. */
  clear(): void
  close(): Promise<void>
}

/** @throws {Error} that says why this machine cannot have one */
export async function mountSmallDisk(folder: string): Promise<SmallDisk> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error('mounting a small disk needs root on Linux')
  mkdirSync(folder)
  await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder])
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill: () => writeUntilFull(ballast),
    clear: () => rmSync(ballast, { force: true }),
    async close() {
      await run('umount', ['-l', folder])
    },
  }
}

function writeUntilFull(file: string): void {
  const descriptor = openSync(file, 'a')
  try {
    for (let chunk = Buffer.alloc(MEBIBYTE); chunk.length > 0; ) {
      try {
        if (writeSync(descriptor, chunk) < chunk.length) throw new Error('a part of it only')
      } catch {
        chunk = chunk.subarray(0, chunk.length >> 1)
      }
    }
  } finally {
    closeSync(descriptor)
  }
}
