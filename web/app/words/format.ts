/** What the sentences of a language are made with. */
export type Format = {
  number(value: number): string
  /** As on a badge: above 99 it is 99+. */
  badge(count: number): string
  /** "Ana, Ben and Cleo" */
  list(items: readonly string[]): string
  plural(
    count: number,
    forms: { one: string; other: string; zero?: string; two?: string; few?: string; many?: string },
  ): string
}

/** `#` in a form is the number. */
export function formatOf(language: string): Format {
  const numbers = new Intl.NumberFormat(language)
  const rules = new Intl.PluralRules(language)
  // American lists have a comma before the last item, which no sentence here has.
  const lists = new Intl.ListFormat(language === 'en' ? 'en-GB' : language, { type: 'conjunction' })
  return {
    number: (value) => numbers.format(value),
    badge: (count) => (count > 99 ? `${numbers.format(99)}+` : numbers.format(count)),
    list: (items) => lists.format(items),
    plural: (count, forms) => (forms[rules.select(count)] ?? forms.other).replace('#', numbers.format(count)),
  }
}
