import { fail } from '../../errors.ts'

/**
 * A display name in Unicode's form C. Refuses names that are unsafe next to others' text and in mails.
 * @throws {AppError} VALIDATION_FAILED for control characters, changes of text direction, links, and invisible names
 */
export function cleanDisplayName(given: string): string {
  const name = clean(given, 100, '/displayName', control)
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(name.replace(invisible, '')))
    throw wrong('/displayName', 'must contain something that is seen')
  if (/:\/\/|www\./i.test(name)) throw wrong('/displayName', 'must not contain a link')
  return name
}

/** Same as `cleanDisplayName` for the text of a profile, which may have lines and links, and may be empty. */
export function cleanBio(given: string): string {
  return clean(given, 500, '/bio', controlButNewline)
}

/**
 * Checks the length again, because Unicode's form C can be longer than the input: some characters are always
 * decomposed.
 */
function clean(given: string, maxLength: number, pointer: string, refused: RegExp): string {
  const text = given.normalize('NFC')
  if ([...text].length > maxLength) throw wrong(pointer, `must NOT have more than ${maxLength} characters`)
  if (refused.test(text.replace(joiners, ''))) throw wrong(pointer, 'must not contain control characters')
  return text
}

/** Joiners shape words of Persian and Hindi and combine emoji. Tags make the flags of England, Scotland and Wales. */
const joiners =
  /(?<=[\p{L}\p{M}\p{So}\p{Sk}])[\u200c\u200d](?=[\p{L}\p{M}\p{So}])|(?<=\u{1f3f4})[\u{e0020}-\u{e007e}]+\u{e007f}/gu
/** Cf has direction overrides and characters without width. Zl and Zp are line ends. Cs are lone surrogates. */
const control = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const controlButNewline = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
/** Letters and symbols drawn as nothing: Hangul fillers, Braille without a dot. */
const invisible = /[\p{Default_Ignorable_Code_Point}\u2800]/gu

function wrong(pointer: string, message: string) {
  return fail('VALIDATION_FAILED', message, { pointer })
}
