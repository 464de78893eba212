import { isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { stdout } from '../../log.ts'
import type { Role } from './role.ts'

/** Start information for the operator: plain lines in a terminal, otherwise one line of JSON at any log level. */
export function printWelcome(role: Role, url: string, config: Config, admin: string | undefined, log: Logger): void {
  const serves = (part: Role) => role === part || role === 'all'
  const lines = [
    serves('api') && config.web && ['App', url],
    serves('api') && ['REST', url],
    serves('push') && ['Websocket', `${url.replace(/^http/, 'ws')}/ws`],
    serves('api') && ['Documentation', `${url}/docs`],
    ['Readiness', `${url}/readyz`],
    ['Data', config.embedded ? resolve(config.dataDir) : withoutUser(config.databaseUrl)],
    admin !== undefined && ['Admin', admin],
  ].filter((line) => line !== false)
  const ready = `Ravenpost (${role}) is ready`
  if (!process.stdout.isTTY) {
    const fields = Object.fromEntries(lines.map(([name = '', value]) => [name.toLowerCase(), value]))
    log.child({}, { level: 'info' }).info(fields, ready)
    return
  }
  const text = lines.map(([name = '', value]) => `  ${name.padEnd(15)}${value}`).join('\n')
  stdout.write(`\n${ready}. Ctrl-C stops it.\n\n${text}\n\n`)
}

/** As pg reads the URL: the host may be missing, in a parameter, or the folder of a socket. */
function withoutUser(connectionString: string): string {
  const { host, port, database } = new pg.Client({ connectionString })
  return `PostgreSQL at ${isIPv6(host) ? `[${host}]` : host}:${port}/${database}`
}
