import { buildWeb } from '../api/web-build.ts'
import { messageOf } from '../errors.ts'

/** `npm run web:build`: builds the web app into web/dist. */
try {
  await buildWeb()
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
}
