/** A state is `<epoch>.<n>`. States of one epoch are ordered by n. */
export function epochOf(state: string): string {
  return state.slice(0, state.lastIndexOf('.'))
}

export function numberOf(state: string): number {
  return Number(state.slice(state.lastIndexOf('.') + 1))
}
