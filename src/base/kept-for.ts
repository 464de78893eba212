/**
 * Runs `work` once at a time. Callers during a run, or within `keptMs` after it, share its result. So it runs at most
 * once per `keptMs`, for any number of callers.
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
