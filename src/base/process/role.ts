import { StartError } from './start-error.ts'

const roles = ['all', 'api', 'worker', 'push'] as const
export type Role = (typeof roles)[number]

/**
 * Parses the role on the command line.
 * @throws {StartError} for an unknown role
 */
export function readRole(argument = 'all'): Role {
  const role = roles.find((name) => name === argument)
  if (!role) throw new StartError(`Unknown role ${JSON.stringify(argument)}: use one of ${roles.join(', ')}`)
  return role
}
