import { execFile } from 'node:child_process'
import { cp, glob, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** `npm run client-build`: makes client/dist, the package as it is published; `npm pack ./client/dist` packs it. */
const here = new URL('./', import.meta.url)
const dist = new URL('dist/', here)

await rm(dist, { recursive: true, force: true })
const tsc = fileURLToPath(new URL('./bin/tsc', import.meta.resolve('typescript/package.json')))
await promisify(execFile)(process.execPath, [tsc, '-p', fileURLToPath(new URL('tsconfig.build.json', here))])
await Promise.all([
  nameDeclarations(),
  writePackage(),
  cp(new URL('src/ui/ui.css', here), new URL('ui/ui.css', dist)),
  cp(new URL('README.md', here), new URL('README.md', dist)),
  cp(new URL('../LICENSE', here), new URL('LICENSE', dist)),
])

/** The compiler leaves the endings of the sources in declarations. */
async function nameDeclarations(): Promise<void> {
  for await (const name of glob('**/*.d.ts', { cwd: fileURLToPath(dist) })) {
    const file = new URL(name, dist)
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace(/((?:from|import\() ?'\.[^']*)\.tsx?'/g, "$1.js'"))
  }
}

/** As the workspace's, with what was built in place of the sources. */
async function writePackage(): Promise<void> {
  const { devDependencies: _, ...source } = JSON.parse(await readFile(new URL('package.json', here), 'utf8'))
  const exports = Object.entries<string>(source.exports).map(([name, path]) => {
    const built = path.replace('./src/', './').replace(/\.tsx?$/, '')
    return [name, built === path || /\.\w+$/.test(built) ? built : { types: `${built}.d.ts`, default: `${built}.js` }]
  })
  const published = { ...source, exports: Object.fromEntries(exports), engines: { node: '>=22' } }
  await writeFile(new URL('package.json', dist), `${JSON.stringify(published, null, 2)}\n`)
}
