import { spawnSync } from 'node:child_process'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { decide, noPreferences } from '../../../src/notify/rules/decide.ts'
import { setup } from '../../setup.ts'

/** Clocks are put forward or back on these days: by an hour, by half an hour, at midnight, and on none. */
const days = [
  ['Europe/Berlin', '2026-03-29', '2026-10-25'],
  ['America/New_York', '2026-03-08', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-04-05', '2026-10-04'],
  ['America/Santiago', '2026-04-05', '2026-09-06'],
  ['Asia/Kathmandu', '2026-03-29', '2026-10-25'],
] as const

const windows = [
  [{ days: [1, 2, 3, 4, 5, 6, 7], from: '22:00', to: '07:00' }],
  [{ days: [6, 7], from: '01:30', to: '02:30' }],
  [{ days: [6, 7], from: '23:00', to: '02:15' }],
  [{ days: [7], from: '02:30', to: '03:30' }],
  [{ days: [6], from: '00:00', to: '00:00' }],
  [
    { days: [6], from: '20:00', to: '00:00' },
    { days: [7], from: '00:00', to: '02:45' },
  ],
]

const skip = spawnSync('python3', ['-c', 'import zoneinfo']).status !== 0 && 'python3 with zoneinfo is not here'

t.test('quiet hours end as in the zoneinfo database, also on days when clocks change', { skip }, async (t) => {
  const { app, pool } = await setup(t)
  const cases = days.flatMap(([timeZone, ...changes]) =>
    changes.flatMap((day) =>
      windows.flatMap((windows) =>
        Array.from({ length: 48 }, (_, i) => ({
          dnd: { enabled: true, timeZone, windows },
          at: Date.parse(`${day}T00:00:00Z`) / 1000 - 14 * 3600 + i * 41 * 60,
        })),
      ),
    ),
  )
  const input = cases.map((each) => JSON.stringify(each)).join('\n')
  const python = spawnSync('python3', [`${import.meta.dirname}/quiet_hours.py`], { input, encoding: 'utf8' })
  t.equal(python.stderr, '')
  const expected = python.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  await pool.query(
    `insert into notify.preferences (user_id, document)
     select place, jsonb_build_object('dnd', dnd) from unnest($1::jsonb[]) with ordinality c (dnd, place)`,
    [cases.map(({ dnd }) => JSON.stringify(dnd))],
  )
  const rows: { until: Date | null; explained: unknown }[] = []
  while (rows.length < cases.length) {
    const { rows: some } = await pool.query(
      `select notify.quiet_until(p.document -> 'dnd', to_timestamp(c.at)) as until, jsonb_build_array(e.decision, e.decided_by, extract(epoch from e.until)) as explained
       from unnest($1::float8[]) with ordinality c (at, place)
       join notify.preferences p on p.user_id = c.place + $2
       cross join lateral notify.explain(p.user_id, 'user.followed', 'webPush', to_timestamp(c.at)) e
       order by c.place`,
      [cases.slice(rows.length, rows.length + 200).map(({ at }) => at), rows.length],
    )
    if (some.length === 0) break
    rows.push(...some)
  }
  t.equal(expected.length, cases.length)
  t.equal(rows.length, cases.length)
  t.ok(expected.some((until) => until !== null) && expected.some((until) => until === null))
  const type = (await app.types.current())('user.followed')
  for (const [i, { until: dndUntil, explained }] of rows.entries()) {
    const said = { ...noPreferences, document: { dnd: cases[i]?.dnd }, dndUntil }
    const { decision, decidedBy, until } = decide(type, 'webPush', null, said)
    const found = { explained, decided: [decision, decidedBy, until && until.getTime() / 1000] }
    const right = expected[i] === null ? ['allow', 'typeDefault', null] : ['defer', 'dnd', expected[i]]
    const wanted = { explained: right, decided: right }
    if (!isDeepStrictEqual(found, wanted)) t.same({ ...found, ...cases[i] }, { ...wanted, ...cases[i] })
  }
})
