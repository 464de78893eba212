/** Prefixes text that a spreadsheet would run as a formula with an apostrophe. */
export const withoutFormula = (text: string) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)

/** Encloses a field in quotation marks (RFC 4180). */
export const quotedField = (text: string) => `"${text.replaceAll('"', '""')}"`
