import { build, type Histogram } from 'hdr-histogram-js'

/** Milliseconds. */
export type Latency = { count: number; p50: number; p90: number; p99: number; p999: number; max: number }

const MICROSECONDS = 1000

/** Records microseconds up to two minutes, with three significant digits. */
export class Latencies {
  readonly #histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 120_000_000,
    numberOfSignificantValueDigits: 3,
  })

  record(ms: number): void {
    this.#histogram.recordValue(Math.max(1, Math.min(120_000_000, Math.round(ms * MICROSECONDS))))
  }

  summary(): Latency {
    const at = (percentile: number) => this.#histogram.getValueAtPercentile(percentile) / MICROSECONDS
    const count = this.#histogram.totalCount
    if (count === 0) return { count, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }
    return {
      count,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#histogram.maxValue / MICROSECONDS,
    }
  }
}
