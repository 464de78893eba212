import { IntlMessageFormat } from 'intl-messageformat'

export type Values = Record<string, string | number>

/** Fills a template in. @throws {Error} when a value is missing */
export type Filler = (values: Values) => string

/**
 * Compiles an ICU message; tags count as text. Texts, arguments and plurals, which nearly all templates consist of,
 * become functions, which take a quarter of the library's time for each notification. The library formats the rest.
 * @throws {Error} when the message is malformed or the language unknown
 */
export function compileMessage(message: string, language: string): Filler {
  const format = new IntlMessageFormat(message, language, undefined, { ignoreTag: true })
  return fillerOf(format.getAst(), language, null) ?? ((values) => String(format.format(values)))
}

type Element = ReturnType<IntlMessageFormat['getAst']>[number]
type PluralElement = Extract<Element, { pluralType?: unknown }>

/** Kinds of elements, as in @formatjs/icu-messageformat-parser. */
const [LITERAL, ARGUMENT, PLURAL, POUND] = [0, 1, 6, 7] as number[]

/** Null when an element is of a kind not listed above. `plural`: the plural around the elements, whose number `#` shows. */
function fillerOf(elements: Element[], language: string, plural: PluralElement | null): Filler | null {
  const fillers: Filler[] = []
  for (const element of elements) {
    const filler = fillerOfOne(element, language, plural)
    if (!filler) return null
    fillers.push(filler)
  }
  return (values) => {
    let text = ''
    for (const fill of fillers) text += fill(values)
    return text
  }
}

function fillerOfOne(element: Element, language: string, plural: PluralElement | null): Filler | null {
  const kind: number = element.type
  if (kind === LITERAL && 'value' in element) {
    const { value } = element
    return () => value
  }
  if (kind === ARGUMENT && 'value' in element) {
    const name = element.value
    return (values) => String(numberOrText(values, name))
  }
  if (kind === POUND && plural) {
    const numbers = new Intl.NumberFormat(language)
    return (values) => numbers.format(countedBy(plural, values))
  }
  return kind === PLURAL && 'pluralType' in element ? fillerOfPlural(element, language) : null
}

function fillerOfPlural(plural: PluralElement, language: string): Filler | null {
  const options = new Map<string, Filler>()
  for (const [name, { value }] of Object.entries(plural.options)) {
    const filler = fillerOf(value, language, plural)
    if (!filler) return null
    options.set(name, filler)
  }
  const rules = new Intl.PluralRules(language, { type: plural.pluralType })
  return (values) => {
    const count = numberOrText(values, plural.value)
    const fill =
      options.get(`=${count}`) ?? options.get(rules.select(countedBy(plural, values))) ?? options.get('other')
    if (!fill) throw new Error(`no form for ${count}`)
    return fill(values)
  }
}

function countedBy({ value: name, offset }: PluralElement, values: Values): number {
  return Number(numberOrText(values, name)) - (offset ?? 0)
}

function numberOrText(values: Values, name: string): string | number {
  const value = name in values ? values[name] : undefined
  if (value === undefined) throw new Error(`no value for ${name}`)
  return value
}
