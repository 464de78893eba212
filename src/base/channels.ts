/** A NOTIFY payload must stay below 8,000 bytes (PostgreSQL manual, NOTIFY). */
const MAX_PAYLOAD = 7900

/**
 * Packs changed inboxes into NOTIFY payloads: pairs of user id and new modseq, both in base 36, `u:m,u:m`.
 * Never content, because every role of the database can listen; the modseq lets a node skip what it has sent already.
 */
export function encodeChangedInboxes(modseqByUser: Map<string, number>): string[] {
  const payloads: string[] = []
  let payload = ''
  for (const [userId, modseq] of modseqByUser) {
    const pair = `${Number(userId).toString(36)}:${modseq.toString(36)}`
    if (payload.length + pair.length + 1 > MAX_PAYLOAD) {
      payloads.push(payload)
      payload = ''
    }
    payload += payload === '' ? pair : `,${pair}`
  }
  if (payload !== '') payloads.push(payload)
  return payloads
}

/** The pairs of one payload; what is not a pair is left out, since any role of the database may send here. */
export function decodeChangedInboxes(payload: string): [userId: string, modseq: number][] {
  return payload.split(',').flatMap((pair): [string, number][] => {
    const [user, modseq] = pair.split(':').map((part) => Number.parseInt(part, 36))
    return Number.isSafeInteger(user) && Number.isSafeInteger(modseq) ? [[String(user), Number(modseq)]] : []
  })
}
