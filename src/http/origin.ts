import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { App } from '../app.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

type Addresses = Pick<Config, 'publicUrl' | 'allowedOrigins'>

/** Whether browsers reach the server by https, according to PUBLIC_URL or to X-Forwarded-Proto of a trusted proxy. */
export function isHttps({ protocol }: FastifyRequest, { publicUrl }: Pick<Config, 'publicUrl'>): boolean {
  return protocol === 'https' || (publicUrl?.startsWith('https:') ?? false)
}

/** The configured origins: ALLOWED_ORIGINS, and that of PUBLIC_URL. */
export function configuredOrigins({ publicUrl, allowedOrigins }: Addresses): string[] {
  return [...allowedOrigins, ...(publicUrl ? [new URL(publicUrl).origin] : [])]
}

/**
 * For calls authenticated by a cookie, which browsers send with requests of any page. SameSite stops other sites, but
 * not sibling domains. A page cannot change these two headers; other programs send neither.
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

/**
 * How many refused origins are remembered and for how long, so that retries and invented origins cannot fill the log.
 */
const MOST_ORIGINS = 100
const REMEMBERED_MS = 60 * 60 * 1000

/** Logs each refused origin once, so that an operator notices a missing entry in ALLOWED_ORIGINS. */
export class RefusedOrigins {
  readonly #log: App['log']
  readonly #noted = new Set<string>()
  #since = performance.now()

  constructor(log: App['log']) {
    this.#log = log
  }

  /** `what` was refused: a call or an upgrade. */
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

/**
 * Logs pages of other origins whose calls succeed but whose browser hides the response: users see only "CORS error".
 */
export function noteRefusedOrigins(server: FastifyInstance, { log, config }: App): void {
  const refused = new RefusedOrigins(log)
  const configured = configuredOrigins(config)
  // Behind a proxy that terminates TLS the scheme is unknown. Another origin on the same host is rare.
  const mayRead = ({ host }: FastifyRequest, origin: string) =>
    configured.includes(origin) || origin === `http://${host}` || origin === `https://${host}`
  server.addHook('onRequest', (request, _reply, done) => {
    const { origin } = request.headers
    if (origin !== undefined && !mayRead(request, origin)) refused.note(origin, 'calls')
    done()
  })
}
