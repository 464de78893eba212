import fc, { type Arbitrary } from 'fast-check'
import { hostile } from './arbitrary.ts'

const extremes: Record<string, Arbitrary<unknown>> = {
  bigint: fc.constantFrom('0', '1', '-1', '9223372036854775807', '-9223372036854775808'),
  'bigint[]': fc.constantFrom('{}', '{1,2}', '{NULL}', '{1,1,1}', '{{1},{2}}', '{-9223372036854775808}'),
  text: fc.oneof(hostile, fc.constantFrom('post.liked', 'system', 'Europe/Berlin', 'inApp', 'normal', 'critical')),
  jsonb: fc.jsonValue().map((value) => JSON.stringify(value)),
  'timestamp with time zone': fc.constantFrom(
    'infinity',
    '-infinity',
    'epoch',
    '4713-01-01 BC',
    '294276-12-31',
    '2026-03-29 02:30:00',
  ),
}

/** Arguments of a SQL type, as text: the ends of its range and what breaks statements. */
export function argumentOf(type: string): Arbitrary<unknown> {
  return extremes[type] ?? hostile
}

/**
 * SQLSTATEs of refused calls: invalid values or missing rights. Internal errors, lost connections and endless statements
 * are failures.
 */
export const refusals = /^(21|22|23|2B|42501|42704|42P|P0001|0A000|54)/

/** Of ours, with arguments: `p` is a row of pg_proc. */
export const isOurs = `p.pronamespace in ('notify'::regnamespace, 'ops'::regnamespace) and p.prokind = 'f' and p.pronargs > 0`
