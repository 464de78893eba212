/**
 * Node options of `npm start`, for every process here and in the benchmarks: each half of the new space takes up to 16 MiB. By
 * default Node takes and keeps more on a large machine, which would count as memory of idle sockets.
 */
export const nodeOptions = ['--max-semi-space-size=16']
