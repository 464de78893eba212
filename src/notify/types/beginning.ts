/** In UTF-16 code units, of which a character has one or more. */
export const LONGEST_BEGINNING = 200
/** Further back than this, a space is not looked for: not every script has spaces. */
const SHORTEST_CUT = 120

const words = new Intl.Segmenter('und', { granularity: 'word' })
const characters = new Intl.Segmenter('und', { granularity: 'grapheme' })

/**
 * The beginning of a text as a notification shows it: at most 200 characters, whole words where one ends in time, and never a part
 * of what people see as one character. Null: there is nothing to show.
 * @param text may be cut already, behind 201 code points
 */
export function beginningOf(text: string): string | null {
  const shown = text.length <= LONGEST_BEGINNING ? text : cut(text)
  return shown.trimEnd() || null
}

function cut(text: string): string {
  const whole = new Set(startsOf(characters, text))
  const ends = (found: number[]) => found.filter((at) => at <= LONGEST_BEGINNING && whole.has(at)).at(-1)
  const spaces = [...text.matchAll(/\s/g)].map(({ index }) => index).filter((at) => at >= SHORTEST_CUT)
  return text.slice(0, ends(spaces) ?? (ends(startsOf(words, text)) || ends([...whole])))
}

function startsOf(segmenter: Intl.Segmenter, text: string): number[] {
  return [...segmenter.segment(text)].map(({ index }) => index)
}
