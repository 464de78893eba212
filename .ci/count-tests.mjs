// Counts the named tests in a TAP report, the second level of it, and lists those that failed. Prints "passed failed".
// A file that failed without a failing test of its own (it crashed, or ran out of time) counts as one failure.
import { readFileSync } from 'node:fs'

const [file = '', status = '0'] = process.argv.slice(2)
let passed = 0
let failed = 0
let failedInFile = 0
for (const line of readFileSync(file, 'utf8').split('\n')) {
  const [, indent, not, name] = /^( {4})?(not )?ok \d+(.*)$/.exec(line) ?? []
  if (name === undefined || / # (SKIP|TODO)/i.test(name)) continue
  if (indent) {
    if (not) failedInFile += 1
    else passed += 1
    if (not) process.stderr.write(`failed:${name}\n`)
  } else {
    if (not) process.stderr.write(`failed file:${name}\n`)
    if (not && failedInFile === 0) failedInFile = 1
    failed += failedInFile
    failedInFile = 0
  }
}
failed += failedInFile
if (status !== '0' && failed === 0) failed = 1
if (passed + failed === 0) process.exit(1)
process.stdout.write(`${passed} ${failed}\n`)
