/**
 * SQL that counts late recipients by their decisions, over `s`, their rows in notify.sources. `broadcast.sql` does the same. No row:
 * not decided yet, or the user was deleted.
 */
export const decidedLate = `
  count(*) filter (where s.notified and s.decision <> 'filtered')::int as stored,
  count(*) filter (where s.decision = 'filtered')::int as filtered,
  count(*) filter (where not s.notified)::int as suppressed`
