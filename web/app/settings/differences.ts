import type { WhatIf } from '../answers.ts'

/** A channel of a type whose decisions would differ, with their numbers. */
export type Difference = {
  type: string
  channel: string
  before: Record<string, number | undefined>
  after: Record<string, number | undefined>
}

export function differencesOf(whatIf: WhatIf | undefined): Difference[] {
  return Object.entries(whatIf?.types ?? {}).flatMap(([type, perChannel]) =>
    Object.entries(perChannel)
      .filter(([, { before, after }]) => JSON.stringify(before) !== JSON.stringify(after))
      .map(([channel, { before, after }]) => ({ type, channel, before, after })),
  )
}
