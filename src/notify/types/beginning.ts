/** Maximum length of a preview in UTF-16 code units. */
export const LONGEST_BEGINNING = 200
/** Maximum distance from the end in which a space is searched. Not every script has spaces. */
const SHORTEST_CUT = 120
/** From this code point on, characters can join the following one (Grapheme_Cluster_Break=Prepend of UAX #29). */
const FIRST_PREPEND = 0x600

const words = new Intl.Segmenter('und', { granularity: 'word' })
const characters = new Intl.Segmenter('und', { granularity: 'grapheme' })

/**
 * The preview of a text: at most 200 characters, cut at a word if possible, and never inside a visible character. Null
 * when there is nothing to show.
 * @param text may already be cut after 201 code points
 */
export function beginningOf(text: string): string | null {
  const shown = text.length <= LONGEST_BEGINNING ? text : text.slice(0, lastSpace(text) ?? lastBoundary(text))
  return shown.trimEnd() || null
}

/** A quick test that suffices for most texts, a hundred times cheaper than segmenting. */
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
