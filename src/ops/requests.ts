import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Upper bounds in milliseconds. */
const BOUNDS = [5, 25, 100, 500, 2500]

/** Plain numbers, because a labelled metric of prom-client takes 0.6 µs per request, and these 15 ns. */
type Counts = {
  method: string
  route: string
  /** Requests by the first digit of the status. */
  classes: number[]
  /**
   * Requests by duration: each in the first bucket whose bound is not below the duration; the last one is for longer
   * ones.
   */
  durations: number[]
  ms: number
}

/** Requests of all servers of this process, by method and pattern. */
const routes = new Map<string, Counts>()
const refused = { 429: 0, 503: 0 }
const unmatched = countsOf('any', 'none')

/** Counts the responses of each route of this server. Call it before the routes are registered. */
export function countRequests(server: FastifyInstance): void {
  server.addHook('onRoute', (route) => {
    const byMethod = new Map([route.method].flat().map((method) => [method, countsOf(method, route.url)]))
    const count = (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      note(byMethod.get(request.method) ?? unmatched, reply)
      done()
    }
    route.onResponse = [count, ...[route.onResponse ?? []].flat()]
  })
  server.addHook('onResponse', (request, reply, done) => {
    if (request.is404) note(unmatched, reply)
    done()
  })
}

function countsOf(method: string, route: string): Counts {
  const key = `${method} ${route}`
  const counts = routes.get(key) ?? {
    ...{ method, route, ms: 0 },
    classes: Array<number>(6).fill(0),
    durations: Array<number>(BOUNDS.length + 1).fill(0),
  }
  routes.set(key, counts)
  return counts
}

function note(counts: Counts, { statusCode, elapsedTime }: FastifyReply): void {
  const category = Math.floor(statusCode / 100)
  counts.classes[category] = (counts.classes[category] ?? 0) + 1
  let bound = 0
  while (bound < BOUNDS.length && elapsedTime > (BOUNDS[bound] ?? 0)) bound += 1
  counts.durations[bound] = (counts.durations[bound] ?? 0) + 1
  counts.ms += elapsedTime
  if (statusCode === 429 || statusCode === 503) refused[statusCode] += 1
}

/** The counts in Prometheus' text format. Routes without a response are left out. */
export function renderRequests(): string {
  const used = [...routes.values()].filter(({ classes }) => classes.some((n) => n > 0))
  return [
    ...describe(
      'http_requests_total',
      'counter',
      'Responses by method, pattern of the route (none: a page of the web app, or no such path), and class of the status',
    ),
    ...used.flatMap((counts) =>
      counts.classes.flatMap((n, category) =>
        n > 0 ? [`ravenpost_http_requests_total{${labels(counts)},status="${category}xx"} ${n}`] : [],
      ),
    ),
    ...describe(
      'http_refused_total',
      'counter',
      'Responses that ask the client to come later: 429 by a rate limit, 503 by a busy or missing database',
    ),
    ...Object.entries(refused).map(([status, n]) => `ravenpost_http_refused_total{status="${status}"} ${n}`),
    ...describe(
      'http_request_seconds',
      'histogram',
      'Duration of requests, from the headers to the end of the response',
    ),
    ...used.flatMap(histogram),
    '',
  ].join('\n')
}

function describe(name: string, type: string, help: string): string[] {
  return [`# HELP ravenpost_${name} ${help}`, `# TYPE ravenpost_${name} ${type}`]
}

/** Buckets of Prometheus include the ones below them. */
function histogram(counts: Counts): string[] {
  let total = 0
  const buckets = counts.durations.map((n, place) => {
    total += n
    const bound = BOUNDS[place]
    const le = bound === undefined ? '+Inf' : bound / 1000
    return `ravenpost_http_request_seconds_bucket{${labels(counts)},le="${le}"} ${total}`
  })
  return [
    ...buckets,
    `ravenpost_http_request_seconds_sum{${labels(counts)}} ${counts.ms / 1000}`,
    `ravenpost_http_request_seconds_count{${labels(counts)}} ${total}`,
  ]
}

function labels({ method, route }: Counts): string {
  return `method="${method}",route="${route.replace(/[\\"]/g, '\\$&')}"`
}
