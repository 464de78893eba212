import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter } from '../../http/rate-limits.ts'

/**
 * A limit per user of `points`, times RATE_LIMIT_SCALE, in `seconds`. The returned function @throws {AppError}
 * RATE_LIMITED
 */
export function createAccountLimit(app: App, name: string, points: number, seconds: number) {
  const scaled = Math.max(1, Math.round(points * app.config.rateLimitScale))
  const limiter = createSharedLimiter(app, name, scaled, seconds)
  return async (userId: string): Promise<void> => {
    const { allowed, left } = await consume(limiter, userId)
    if (allowed) return
    const retryAfter = Math.max(1, Math.ceil(left.msBeforeNext / 1000))
    throw fail('RATE_LIMITED', `At most ${scaled} of these in ${seconds / 3600} hours`, { retryAfter })
  }
}
