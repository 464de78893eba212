import { spawnSync } from 'node:child_process'
import t from 'tap'
import { setup } from '../setup.ts'

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

t.test('quiet hours end when zoneinfo says so, also on the days when clocks are changed', { skip }, async (t) => {
  const { pool } = await setup(t)
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
  const { rows } = await pool.query<{ until: number | null }>(
    `select extract(epoch from notify.quiet_until(c.dnd, to_timestamp(c.at)))::float8 as until
     from unnest($1::jsonb[], $2::float8[]) with ordinality c (dnd, at, place) order by place`,
    [cases.map(({ dnd }) => JSON.stringify(dnd)), cases.map(({ at }) => at)],
  )
  t.equal(expected.length, cases.length)
  t.ok(expected.some((until) => until !== null) && expected.some((until) => until === null))
  for (const [i, { until }] of rows.entries())
    if (until !== expected[i]) t.same({ until, ...cases[i] }, { until: expected[i], ...cases[i] })
})
