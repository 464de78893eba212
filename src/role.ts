import { StartError } from './start-error.ts'

const roles = ['all', 'api', 'worker', 'push'] as const
export type Role = (typeof roles)[number]

/** @throws {StartError} for an unknown role */
export function readRole(argument = 'all'): Role {
  const role = roles.find((name) => name === argument)
  if (!role) throw new StartError(`There is no role ${JSON.stringify(argument)}: expected ${roles.join(', ')}`)
  return role
}

/** Plain lines for the person who started it, between the log's lines of JSON. */
export function printAddresses(role: Role, url: string): void {
  const api =
    role === 'all' || role === 'api'
      ? [
          ['API', url],
          ['Documentation', `${url}/docs`],
        ]
      : []
  const push = role === 'all' || role === 'push' ? [['Websocket', `${url.replace(/^http/, 'ws')}/ws`]] : []
  const addresses = [...api, ...push, ['Readiness', `${url}/readyz`]]
  const lines = addresses.map(([name = '', address]) => `  ${name.padEnd(14)}${address}`)
  process.stdout.write(`\nRavenpost (${role}) is ready\n${lines.join('\n')}\n\n`)
}

/** Not a line of the log: logs are collected. */
export function printAdminPassword(password: string): void {
  process.stdout.write(`  Sign in as admin with the password ${password} (shown only this once)\n\n`)
}
