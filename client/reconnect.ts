const SECOND = 1000

/** Close codes after which connecting again is useless: the client speaks wrongly, or may not be here. */
export const FINAL_CODES = [1002, 1007, 1009, 4400, 4403]

/** Milliseconds until the next attempt; always drawn at random, so that a node's clients do not come back all at once. */
export function waitAfter(code: number, failures: number): number {
  if (code === 4429) return (60 + 60 * Math.random()) * SECOND
  const longest = code === 1001 ? 5 * SECOND : SECOND / 2
  return Math.random() * Math.min(30 * SECOND, longest * 2 ** failures)
}

/** Resolves after this time, or at once when the signal is given. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}
