import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { variables } from '../src/config.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const readme = read('README.md')

const documents = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
const pages = ['README.md', 'CONTRIBUTING.md', ...documents.map((name) => `docs/${name}`)]

for (const page of pages)
  t.test(`every file that ${page} links to exists`, async (t) => {
    const paths = [...read(page).matchAll(/\]\(([^)#:\s]+)(#[^)]*)?\)/g)].map(([, path = '']) => path)
    t.same(
      paths.filter((path) => !existsSync(join(root, dirname(page), path))),
      [],
    )
  })

t.test('the README is short and follows a like through at most eight files', async (t) => {
  t.ok(readme.split('\n').length <= 250)
  const walk = readme.slice(readme.indexOf('## Follow one like'), readme.indexOf('## Your own PostgreSQL'))
  const files = new Set([...walk.matchAll(/\]\(((?:src|workers)\/[^)]+)\)/g)].map(([, path]) => path))
  t.ok(files.size > 4 && files.size <= 8, `${files.size} files`)
})

t.test('every test that docs/security.md names exists, and every risk names one', async (t) => {
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

t.test('every npm script that the guides name exists', async (t) => {
  const { scripts } = JSON.parse(read('package.json'))
  const guides = ['README.md', 'CONTRIBUTING.md', 'docs/operations.md'].map(read).join('\n')
  const named = [...guides.matchAll(/npm (?:run )?(?:--silent )?(start|test|[a-z]+(?::[a-z-]+)?(?:-[a-z:]+)*)/g)].map(
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
