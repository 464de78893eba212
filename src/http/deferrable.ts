import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** One of the frequent writes, of which thousands may come at once. They wait so that other requests need not. */
    deferrable?: true
  }
}

/** About 2 ms of work. A count needs no clock, and these requests cost nearly the same. */
const PER_TURN = 64

/**
 * Lets a limited number of deferrable requests through in each turn of the event loop, in order of arrival. Otherwise
 * one turn would handle all that have arrived, and every other request would wait for several such turns. Refuses
 * with 503 when `writeQueueSize` requests wait.
 */
export function deferFrequentWrites(server: FastifyInstance, { writeQueueSize }: Pick<Config, 'writeQueueSize'>): void {
  const waiting: (() => void)[] = []
  let left = PER_TURN
  let isTurnEnding = false

  const endTurn = () => {
    isTurnEnding = false
    const next = waiting.splice(0, PER_TURN)
    left = PER_TURN - next.length
    if (next.length > 0) endTurnLater()
    for (const proceed of next) proceed()
  }
  const endTurnLater = () => {
    if (isTurnEnding) return
    isTurnEnding = true
    setImmediate(endTurn)
  }

  server.addHook('onRequest', (request, _reply, done) => {
    if (!request.routeOptions.config.deferrable) return done()
    endTurnLater()
    if (left > 0) {
      left -= 1
      return done()
    }
    if (waiting.length >= writeQueueSize) return done(fail('BUSY', 'Try again', { retryAfter: 1 }))
    waiting.push(done)
  })
}
