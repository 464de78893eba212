import { setTimeout as delay } from 'node:timers/promises'

const MIB = 1024 * 1024

/** Loaded before a server's own code (`--import`): answers its parent with what is left after garbage collections. */
process.on('message', async () => {
  // What a finalizer lets go is collected by the next one. Only a last resort gives back the pages that V8 keeps for later, which
  // are far more than what is in use.
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    await delay(10)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  process.send?.({ heap: (heapUsed + external) / MIB, rss: rss / MIB })
})
process.channel?.unref()

// A test that was killed leaves nobody who would stop this server.
process.on('disconnect', () => process.kill(process.pid))
