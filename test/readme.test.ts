import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { variables } from '../src/config.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const readme = read('README.md')

t.test('every file that the README links to exists', async (t) => {
  const paths = [...readme.matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map(([, path = '']) => path)
  t.ok(paths.length > 10)
  t.same(
    paths.filter((path) => !existsSync(join(root, path))),
    [],
  )
})

t.test('every test that docs/security.md names exists, and every risk has one', async (t) => {
  const page = read('docs/security.md')
  const paths = [...page.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path = '']) => path)
  t.same(
    paths.filter((path) => !existsSync(join(root, path))),
    [],
  )
  const risks = page.split('\n').filter((line) => /^\| API\d+ /.test(line))
  t.equal(risks.length, 10)
  for (const risk of risks) t.match(risk.split('|').at(3), /\]\(\.\.\/test\/[\w/-]+\.test\.ts\)/, risk.slice(0, 40))
})

t.test('every npm script that the README names exists', async (t) => {
  const { scripts } = JSON.parse(read('package.json'))
  const named = [...readme.matchAll(/npm (?:run )?(?:--silent )?(start|test|[a-z]+(?::[a-z-]+)?(?:-[a-z:]+)*)/g)].map(
    ([, name = '']) => name,
  )
  t.ok(named.length > 5)
  t.same(
    named.filter((name) => name !== 'ci' && name !== 'packages' && !scripts[name]),
    [],
  )
})

t.test('every variable is in the README and in .env.example', async (t) => {
  const names = Object.keys(variables)
  const example = read('.env.example')
  t.same(
    names.filter((name) => !readme.includes(`\`${name}\``)),
    [],
  )
  t.same(
    names.filter((name) => !example.includes(`#${name}=`)),
    [],
  )
})
