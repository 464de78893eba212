/** A NOTIFY payload must stay below 8,000 bytes (PostgreSQL manual, NOTIFY). */
const MAX_PAYLOAD = 7900

/**
 * Packs changed inboxes into NOTIFY payloads: pairs of user id and new modseq in base 36, `u:m,u:m`. Never contains
 * content, because every role can listen. The modseq lets a node skip what it has already sent.
 */
export function encodeChangedInboxes(modseqByUser: Map<string, number>): string[] {
  return pack([...modseqByUser].map(([userId, modseq]) => `${Number(userId).toString(36)}:${modseq.toString(36)}`))
}

/**
 * The content of a hint: posts with changed counts, posts with changed comments, and whether posts appeared or
 * disappeared.
 */
export type ChangedContent = { counts: string[]; comments: string[]; feeds: boolean }

/** Packs changed content into NOTIFY payloads of `9` (counts of post 9), `c9` (its comments) and `f` (feeds). */
export function encodeChangedContent({ counts, comments, feeds }: ChangedContent): string[] {
  return pack([...counts, ...comments.map((id) => `c${id}`), ...(feeds ? ['f'] : [])])
}

export function decodeChangedContent(payload: string): ChangedContent {
  const items = payload.split(',')
  const marked = (mark: RegExp) => items.filter((item) => mark.test(item))
  return { counts: marked(/^\d/), comments: marked(/^c/).map((item) => item.slice(1)), feeds: items.includes('f') }
}

function pack(items: string[]): string[] {
  const payloads: string[] = []
  let payload = ''
  for (const item of items) {
    if (payload.length + item.length + 1 > MAX_PAYLOAD) {
      payloads.push(payload)
      payload = ''
    }
    payload += payload === '' ? item : `,${item}`
  }
  if (payload !== '') payloads.push(payload)
  return payloads
}

/** The pairs of user id and modseq in one payload. Ignores malformed ones, because any database role can NOTIFY on this channel. */
export function decodeChangedInboxes(payload: string): [userId: string, modseq: number][] {
  return payload.split(',').flatMap((pair): [string, number][] => {
    const [user, modseq] = pair.split(':').map((part) => Number.parseInt(part, 36))
    return Number.isSafeInteger(user) && Number.isSafeInteger(modseq) ? [[String(user), Number(modseq)]] : []
  })
}
