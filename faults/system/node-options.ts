import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Node options of `npm start`, for every process here and in the benchmarks: each half of the new space takes up to 16 MiB. By
 * default Node takes and keeps more on a large machine, which would count as memory of idle sockets.
 */
export const nodeOptions = ['--max-semi-space-size=16']

/** For NODE_COMPILE_CACHE: processes that load the same sources start in two thirds of the CPU time. */
export const compileCache = join(tmpdir(), `ravenpost-compiled-${process.getuid?.() ?? ''}`)
