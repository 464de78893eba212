import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bench, inTurn, type Measured, medianOf, type Scenario, target } from '../harness/scenario.ts'
import { startProcess } from '../machine/process.ts'

const NAME = 'Ravenpost'

export const startTime: Scenario = {
  id: 'P10',
  title: 'From npm start to ready with a kept data directory',
  checkedBy: 'CI runs npm start twice, the second time on kept data',
  async run(bench) {
    const rows = await inTurn(bench, [{ name: NAME }], () => measure(bench))
    const seconds = medianOf(rows, NAME, 'seconds to ready')
    const first = medianOf(rows, NAME, 'seconds to ready, first start')
    return {
      rows,
      targets: [
        target('≤ 1.2 s', seconds, seconds <= 1.2, 's'),
        target('≤ 3 s the first time', first, first <= 3, 's'),
      ],
      notes: ['The embedded PostgreSQL among it. The first start makes the cluster and runs all migrations.'],
    }
  },
}

async function measure({ quick }: Bench): Promise<Measured> {
  const home = await mkdtemp(join(process.env.BENCH_DIR ?? tmpdir(), 'ravenpost-bench-start-'))
  try {
    const first = await secondsToReady(home)
    const later: number[] = []
    for (let start = 0; start < (quick ? 1 : 3); start++) later.push(await secondsToReady(home))
    const sorted = later.sort((a, b) => a - b)
    return { 'seconds to ready': sorted[sorted.length >> 1] ?? Number.NaN, 'seconds to ready, first start': first }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function secondsToReady(dataDir: string): Promise<number> {
  const startedAt = performance.now()
  const started = await startProcess({
    name: 'ravenpost-all',
    command: 'npm',
    args: ['start', '--silent'],
    env: { DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'warn' },
    group: true,
    ready: /Ravenpost \(all\) is ready/,
  })
  const seconds = (performance.now() - startedAt) / 1000
  await started.stop()
  return seconds
}
