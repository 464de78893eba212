import { type Config, readConfig } from '../../config.ts'
import { reasonOfStartError } from './start-error.ts'

/** Runs a command of package.json. Prints an error that the user can fix in one line, with status 1. */
export async function runCommand(command: (config: Config, args: string[]) => Promise<void>): Promise<void> {
  try {
    await command(readConfig(process.env), process.argv.slice(2))
  } catch (error) {
    const reason = reasonOfStartError(error)
    if (reason === undefined) throw error
    process.stderr.write(`${reason}\n`)
    process.exitCode = 1
  }
}
