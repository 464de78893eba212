/**
 * Runs `work` once at a time: whoever asks while it runs, or within `keptMs` after it ended, gets the same outcome. So however
 * many ask, the work is done at most once in `keptMs`.
 */
export function shared<T>(keptMs: number, work: () => Promise<T>): () => Promise<T> {
  let outcome: Promise<T> | undefined
  const forgetLater = () => {
    setTimeout(() => {
      outcome = undefined
    }, keptMs).unref()
  }
  return () => {
    if (!outcome) {
      outcome = work()
      outcome.then(forgetLater, forgetLater)
    }
    return outcome
  }
}
