import type { System } from './with-system.ts'

/** Highest latency from the time an action was due to the frame. Above it, a stack does not keep up. */
const P99_LIMIT_MS = 250
const FIRST_RATE = 250
const LOWEST_RATE = 20

/**
 * Finds the highest rate of likes per second at which every notification arrives and the 99th percentile stays below the limit:
 * doubles the rate until it fails, then bisects. Also returns the next unused post.
 */
export async function findKnee(
  given: System,
  { firstPost, seconds, steps }: { firstPost: number; seconds: number; steps: number },
): Promise<{ rate: number; nextPost: number }> {
  let [post, good, bad] = [firstPost, 0, Number.POSITIVE_INFINITY]
  for (let rate = FIRST_RATE, step = 0; step < steps || (good === 0 && rate > LOWEST_RATE); ) {
    let { kept, nextPost } = await keepsUp(given, rate, post, seconds)
    // Repeats a failed step, because the machine may have stalled once.
    if (!kept) ({ kept, nextPost } = await keepsUp(given, rate, nextPost, seconds))
    post = nextPost
    if (kept) good = rate
    else bad = rate
    if (bad === Number.POSITIVE_INFINITY) rate *= 2
    else {
      rate = Math.round((good + bad) / 2)
      step += 1
    }
  }
  return { rate: good, nextPost: post }
}

async function keepsUp({ system, load }: System, rate: number, firstPost: number, seconds: number) {
  const sent = await load.like({ url: system.urlOf('api'), firstPost, seconds, rate })
  // Waits for late notifications, so that they do not burden the next step.
  const { arrived, fromSend } = await load.expect({ count: sent.answered, withinMs: 60_000 })
  await load.reset()
  const all = sent.failed === 0 && sent.answered === Math.floor(rate * seconds) && arrived === sent.answered
  return { kept: all && fromSend.p99 <= P99_LIMIT_MS, nextPost: sent.nextPost }
}
