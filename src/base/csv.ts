/** Prefixes text that a spreadsheet would run as a formula with an apostrophe. */
const withoutFormula = (text: string) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)

/** A line of CSV (RFC 4180) with these fields. Null is an empty field, an object is JSON. */
export function csvLine(values: readonly unknown[]): string {
  return `${values.map(fieldOf).join(',')}\r\n`
}

function fieldOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = withoutFormula(typeof value === 'string' ? value : JSON.stringify(value))
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
