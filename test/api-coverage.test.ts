import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { setup } from './setup.ts'

const coverage = readFileSync(join(import.meta.dirname, '../docs/api-coverage.md'), 'utf8')
const rows = [...coverage.matchAll(/^\| (.+) \| `([\w/-]+\.test\.ts)` \| (.+) \|$/gm)].map(
  ([, promise = '', file = '', name = '']) => ({ promise, file, name }),
)

test('every test named in docs/api-coverage.md exists', async (t) => {
  t.ok(rows.length > 100)
  t.same(
    rows.filter(({ file, name }) => !namesOf(file).has(name)),
    [],
  )
})

test('docs/api-coverage.md lists exactly the calls of the OpenAPI document', async (t) => {
  const { server } = await setup(t)
  const { paths } = (await server.inject('/openapi.json')).json<{ paths: Record<string, object> }>()
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const named = rows.flatMap(({ promise }) =>
    [...promise.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/[^`]*)`/g)].map(([, call = '']) => call),
  )
  // They describe the document and are not in it.
  const aboutIt = ['GET /openapi.json', 'GET /asyncapi.json', 'GET /docs']
  t.same(new Set(named.filter((call) => !aboutIt.includes(call))), new Set(calls))
})

/** Names of the tests in a file, as written in its source. */
function namesOf(file: string): Set<string> {
  const source = readFileSync(join(import.meta.dirname, file), 'utf8')
  return new Set([...source.matchAll(/\btest\(\s*(['"`])(.*?)\1,/g)].map(([, , name = '']) => name))
}
