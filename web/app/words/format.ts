/** Helpers for the texts of a language. */
export type Format = {
  number(value: number): string
  /** A count as on a badge: 99+ above 99. */
  badge(count: number): string
  /** A list of names: "Ana, Ben and Cleo". */
  list(items: readonly string[]): string
  plural(
    count: number,
    forms: { one: string; other: string; zero?: string; two?: string; few?: string; many?: string },
  ): string
}

/** Chooses a plural form. `#` in a form is replaced by the number. */
export function formatOf(language: string): Format {
  const numbers = new Intl.NumberFormat(language)
  const rules = new Intl.PluralRules(language)
  // British English, because American lists have a comma before the last item.
  const lists = new Intl.ListFormat(language === 'en' ? 'en-GB' : language, { type: 'conjunction' })
  return {
    number: (value) => numbers.format(value),
    badge: (count) => (count > 99 ? `${numbers.format(99)}+` : numbers.format(count)),
    list: (items) => lists.format(items),
    plural: (count, forms) => (forms[rules.select(count)] ?? forms.other).replace('#', numbers.format(count)),
  }
}
