/** A state as clients see it, `<epoch>.<n>`. */
export const STATE_PATTERN = '^[0-9A-Za-z]{1,32}\\.(0|[1-9][0-9]{0,14})$'

const state = new RegExp(STATE_PATTERN)

export function formatState(epoch: string, modseq: number): string {
  return `${epoch}.${modseq}`
}

/**
 * The two parts of a state; null when malformed. The caller checks that it belongs to this database and is not in the
 * future.
 */
export function parseState(text: string): { epoch: string; modseq: number } | null {
  if (!state.test(text)) return null
  const dot = text.indexOf('.')
  return { epoch: text.slice(0, dot), modseq: Number(text.slice(dot + 1)) }
}
