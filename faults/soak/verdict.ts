/** The values measured at one time. `seconds`: time since the start. */
export type Sample = { seconds: number; [name: string]: number }

export type Verdict = { name: string; flat: boolean; first: number; last: number; growth: number }

/** Share of a run that is ignored, because it fills caches and compiles code. */
const WARM_UP = 0.25
/** Minimum number of samples after the warm-up. With fewer, everything counts as flat. */
const ENOUGH = 12
/** Growth over the whole run that is tolerated: in percent, and in the unit of the series for small values. */
const TOLERATED_PERCENT = 15
const TOLERATED = 25

/**
 * Whether each series stays flat, by a least-squares line after the warm-up. `first`, `last`: the ends of the line. `growth`:
 * the difference in percent of `first`. It counts only when it exceeds the ordinary variation of the series.
 */
export function verdicts(samples: Sample[]): Verdict[] {
  const measured = samples.slice(Math.floor(samples.length * WARM_UP))
  const names = Object.keys(samples[0] ?? {}).filter((name) => name !== 'seconds')
  return names.map((name) => {
    const all = measured.flatMap((sample): [number, number][] => {
      const value = sample[name]
      return value === undefined ? [] : [[sample.seconds, value]]
    })
    const points = name.endsWith('heap') ? floor(all) : all
    const { first, last, noise } = line(points)
    const growth = Math.round(((last - first) / Math.max(first, 1)) * 100)
    const isGrowth = growth > TOLERATED_PERCENT && last - first > Math.max(TOLERATED, 2 * noise)
    return {
      name,
      flat: points.length < ENOUGH || !isGrowth,
      first: Math.round(first),
      last: Math.round(last),
      growth,
    }
  })
}

/** The lowest value of every minute, because only memory that survives a garbage collection counts. */
function floor(points: [x: number, y: number][]): [x: number, y: number][] {
  const lowest = new Map<number, [number, number]>()
  for (const point of points) {
    const minute = Math.floor(point[0] / 60)
    const known = lowest.get(minute)
    if (!known || point[1] < known[1]) lowest.set(minute, point)
  }
  return [...lowest.values()]
}

/** Both ends of the least-squares line, and the standard deviation of the points from it. */
function line(points: [x: number, y: number][]): { first: number; last: number; noise: number } {
  const mean = (of: (point: [number, number]) => number) => points.reduce((sum, p) => sum + of(p), 0) / points.length
  const [x0, y0] = [mean(([x]) => x), mean(([, y]) => y)]
  const spread = mean(([x]) => (x - x0) ** 2)
  const slope = spread === 0 ? 0 : mean(([x, y]) => (x - x0) * (y - y0)) / spread
  const at = (x: number) => y0 + slope * (x - x0)
  const noise = Math.sqrt(mean(([x, y]) => (y - at(x)) ** 2))
  return { first: at(points[0]?.[0] ?? 0), last: at(points.at(-1)?.[0] ?? 0), noise }
}
