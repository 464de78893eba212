import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { App } from '../app.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

type Addresses = Pick<Config, 'publicUrl' | 'allowedOrigins'>

/** Whether browsers reach us by https: PUBLIC_URL says so, or the X-Forwarded-Proto of a trusted proxy. */
export function isHttps({ protocol }: FastifyRequest, { publicUrl }: Pick<Config, 'publicUrl'>): boolean {
  return protocol === 'https' || (publicUrl?.startsWith('https:') ?? false)
}

/** The origins that the configuration names: ALLOWED_ORIGINS, and that of PUBLIC_URL. */
export function configuredOrigins({ publicUrl, allowedOrigins }: Addresses): string[] {
  return [...allowedOrigins, ...(publicUrl ? [new URL(publicUrl).origin] : [])]
}

/**
 * For calls that act by a cookie, which browsers send whatever page makes the call. SameSite keeps pages of other sites away, but not
 * those of sibling domains. A page cannot change the two headers; programs that are no browsers send neither.
 * @throws {AppError} ORIGIN_NOT_ALLOWED
 */
export function requireOwnPage(request: FastifyRequest, config: Addresses): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site === 'same-origin' || (origin === undefined && site === undefined)) return
  const own = [...(isHttps(request, config) ? [] : [`http://${request.host}`]), `https://${request.host}`]
  if (origin !== undefined && [...own, ...configuredOrigins(config)].includes(origin)) return
  request.log.warn(
    { origin, site },
    'refused a request with a cookie: the origin of its page is not in ALLOWED_ORIGINS',
  )
  throw fail('ORIGIN_NOT_ALLOWED', 'Call from a page of this server, or of an origin in ALLOWED_ORIGINS')
}

/** Origins that are remembered, and for how long: a page that tries again, or many made-up origins, cannot fill the log. */
const MOST_ORIGINS = 100
const REMEMBERED_MS = 60 * 60 * 1000

/** Writes one line for each origin that is refused, so that a missing entry in ALLOWED_ORIGINS is found in the log. */
export class RefusedOrigins {
  readonly #log: App['log']
  readonly #noted = new Set<string>()
  #since = performance.now()

  constructor(log: App['log']) {
    this.#log = log
  }

  /** `what` was refused: a call, an upgrade. */
  note(origin: string, what: string): void {
    if (performance.now() - this.#since > REMEMBERED_MS) {
      this.#noted.clear()
      this.#since = performance.now()
    }
    if (this.#noted.has(origin) || this.#noted.size >= MOST_ORIGINS) return
    this.#noted.add(origin)
    this.#log.warn(
      { origin },
      `refused ${what} from ${origin}: add this origin to ALLOWED_ORIGINS if its pages are yours`,
    )
  }
}

/** Notes pages of other origins that call and may not read the answer: browsers show them nothing but "CORS error". */
export function noteRefusedOrigins(server: FastifyInstance, { log, config }: App): void {
  const refused = new RefusedOrigins(log)
  const configured = configuredOrigins(config)
  // Behind a proxy that ends TLS the scheme is not known; another one on the same host is a rare case.
  const mayRead = ({ host }: FastifyRequest, origin: string) =>
    configured.includes(origin) || origin === `http://${host}` || origin === `https://${host}`
  server.addHook('onRequest', (request, _reply, done) => {
    const { origin } = request.headers
    if (origin !== undefined && !mayRead(request, origin)) refused.note(origin, 'calls')
    done()
  })
}
