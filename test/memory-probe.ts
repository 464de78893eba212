import { setTimeout as delay } from 'node:timers/promises'

const MIB = 1024 * 1024

/** Preloaded into a server (`--import`): reports to its parent how much memory remains after garbage collections. */
process.on('message', async () => {
  // The second collection frees what finalizers released. Only a last-resort collection returns the pages that V8 keeps for
  // later, which exceed the used ones by far.
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    await delay(10)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  process.send?.({ heap: (heapUsed + external) / MIB, rss: rss / MIB })
})
process.channel?.unref()

// A killed test cannot stop this server.
process.on('disconnect', () => process.kill(process.pid))
