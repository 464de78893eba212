/** In UTF-16 code units, of which a character has one or more. */
export const LONGEST_BEGINNING = 200
/** Further back than this, a space is not looked for: not every script has spaces. */
const SHORTEST_CUT = 120
/** From this code point on there are characters that join what follows them (Grapheme_Cluster_Break=Prepend of UAX #29). */
const FIRST_PREPEND = 0x600

const words = new Intl.Segmenter('und', { granularity: 'word' })
const characters = new Intl.Segmenter('und', { granularity: 'grapheme' })

/**
 * The beginning of a text as a notification shows it: at most 200 characters, whole words where one ends in time, and never a part
 * of what people see as one character. Null: there is nothing to show.
 * @param text may be cut already, behind 201 code points
 */
export function beginningOf(text: string): string | null {
  const shown = text.length <= LONGEST_BEGINNING ? text : text.slice(0, lastSpace(text) ?? lastBoundary(text))
  return shown.trimEnd() || null
}

/** A hundred times cheaper than segmenting, and enough for most texts. */
function lastSpace(text: string): number | undefined {
  for (let at = LONGEST_BEGINNING; at >= SHORTEST_CUT; at--)
    if (/\s/.test(text.charAt(at)) && text.charCodeAt(at - 1) < FIRST_PREPEND) return at
  return undefined
}

function lastBoundary(text: string): number | undefined {
  const whole = new Set(startsOf(characters, text))
  const last = (found: number[]) => found.filter((at) => at <= LONGEST_BEGINNING && whole.has(at)).at(-1)
  return last(startsOf(words, text)) || last([...whole])
}

function startsOf(segmenter: Intl.Segmenter, text: string): number[] {
  return [...segmenter.segment(text)].map(({ index }) => index)
}
