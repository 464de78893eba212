/**
 * Those of `npm start`, used for every process here and in the benchmarks: each half of the new space takes up to 16 MiB. By
 * default Node takes more on a large machine and keeps it, which then counts as the memory of idle sockets.
 */
export const nodeOptions = ['--max-semi-space-size=16']
