// Counts the named tests in a TAP report, the third level of it: below processes and test files. Prints "passed failed" on
// stdout; on stderr every failed assertion with its details, then its test, file and process. A file or process that failed
// without a failing test of its own (it crashed, or ran out of time) counts as one failure.
import { readFileSync } from 'node:fs'

const [file = '', status = '0'] = process.argv.slice(2)
const [PROCESS, FILE, TEST] = [0, 4, 8]
const counts = { passed: 0, failed: 0, failedInFile: 0, failedInProcess: 0 }
/** How deep the last failure stood: one further out that follows it is only its parent, and needs no details. */
let failedAt = 0
/** The indentation of the YAML block being shown. */
let showing

for (const line of readFileSync(file, 'utf8').split('\n')) {
  const [, indent, not, name] = /^((?: {4})*)(not )?ok \d+ ?(.*)$/.exec(line) ?? []
  if (name !== undefined) read(indent.length, Boolean(not), name)
  else if (showing !== undefined) show(line)
}
counts.failed += counts.failedInFile + counts.failedInProcess
if (status !== '0' && counts.failed === 0) counts.failed = 1
if (counts.passed + counts.failed === 0) process.exit(1)
process.stdout.write(`${counts.passed} ${counts.failed}\n`)

function read(depth, failed, name) {
  showing = undefined
  if (/ # (SKIP|TODO)/i.test(name)) return
  if (failed) {
    const what = { [PROCESS]: 'FAILED PROCESS', [FILE]: 'FAILED FILE' }[depth] ?? 'failed'
    process.stderr.write(`${' '.repeat(depth)}${what} ${name}\n`)
    if (failedAt <= depth) showing = depth + 2
    failedAt = depth
  }
  if (depth === TEST) counts[failed ? 'failedInFile' : 'passed'] += 1
  if (depth === FILE) {
    if (failed) counts.failedInProcess += Math.max(counts.failedInFile, 1)
    counts.failedInFile = 0
    failedAt = 0
  }
  if (depth === PROCESS) {
    if (failed) counts.failed += Math.max(counts.failedInProcess, 1)
    counts.failedInProcess = 0
    failedAt = 0
  }
}

/** Details stand between --- and ... under the line they belong to. */
function show(line) {
  if (!line.startsWith(' '.repeat(showing))) return
  process.stderr.write(`${line}\n`)
  if (line.trim() === '...') showing = undefined
}
