import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { build } from 'vite'
import { eventually, setup } from '../setup.ts'
import { isFull } from '../size.ts'
import { budgets, sizeOf } from './size-of.ts'
import { snippets } from './snippets.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** Without the hook that tap passes on to every Node below a test: compilers do not start with it. */
function run(command: string, args: string[], { cwd = root, ...options }: { cwd?: string; timeout?: number } = {}) {
  return promisify(execFile)('env', ['-u', 'NODE_OPTIONS', command, ...args], { cwd, ...options })
}
const bin = (name: string) => join(root, 'node_modules/.bin', name)

/** A folder outside of the repository with the packed package installed, and React beside it, as npm would do it. */
async function install(t: Test): Promise<string> {
  await run(process.execPath, ['client/build.ts'])
  const folder = t.testdir()
  await run('npm', ['pack', './client/dist', '--pack-destination', folder, '--silent'])
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, '@types'), { recursive: true })
  await run('tar', ['-xzf', 'ravenpost-client-0.1.0.tgz', '-C', modules], { cwd: folder })
  await run('mv', [join(modules, 'package'), join(modules, 'ravenpost-client')])
  const link = (from: string, to: string) => symlink(join(root, from), join(modules, to))
  for (const name of ['react', 'react-dom', 'scheduler']) await link(`client/node_modules/${name}`, name)
  for (const name of ['@tanstack', '@types/react', '@types/react-dom', 'csstype'])
    await link(`node_modules/${name}`, name)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'an-app', type: 'module', private: true }))
  return folder
}

t.test('the packed package works when installed elsewhere', async (t) => {
  const folder = await install(t)
  const dist = join(root, 'client/dist')

  await t.test('publint and attw find no faults in the package', async (t) => {
    const { stdout } = await run(bin('publint'), [dist, '--strict'])
    t.match(stdout, 'All good!')
    if (isFull) await run(bin('attw'), ['--pack', dist, '--profile', 'esm-only', '--exclude-entrypoints', 'ui.css'])
    const { dependencies, exports } = JSON.parse(await readFile(join(dist, 'package.json'), 'utf8'))
    t.equal(dependencies, undefined, 'nothing else is needed at run time')
    t.ok(exports['./core'])
  })

  await t.test('a Vite app builds with the package', async (t) => {
    await cp(join(root, 'client/example'), join(folder, 'example'), { recursive: true })
    await build({
      root: join(folder, 'example'),
      configFile: false,
      logLevel: 'error',
      resolve: { preserveSymlinks: true },
    })
    t.match(await readFile(join(folder, 'example/dist/index.html'), 'utf8'), /assets\/index-.*\.js/)
  })

  await t.test(
    'the declarations and the snippets of docs/client.md compile with TypeScript 5.6 and later',
    async (t) => {
      const config = {
        compilerOptions: {
          strict: true,
          noEmit: true,
          jsx: 'react-jsx',
          lib: ['es2023', 'dom', 'dom.iterable'],
          target: 'es2022',
          module: 'nodenext',
          allowImportingTsExtensions: true,
          exactOptionalPropertyTypes: true,
          types: [],
        },
        include: ['docs'],
      }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
      await mkdir(join(folder, 'docs'))
      await writeFile(join(folder, 'docs/styles.d.ts'), "declare module '*.css'")
      for (const [name, code] of await snippets()) await writeFile(join(folder, 'docs', name), code)
      for (const compiler of [bin('tsc'), ...(isFull ? oldCompilers : [])]) {
        const compiled = run(process.execPath, [compiler, '-p', folder])
        await t.resolves(
          compiled.catch(({ stdout }) => Promise.reject(new Error(stdout))),
          compiler,
        )
      }
    },
  )

  await t.test('a Node script lists, changes and watches notifications with the package', async (t) => {
    const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
    const [ana, ben] = [await system.as('ana'), await system.as('ben')]
    await ben.follow(ana.id)
    const script = `
      import { createRavenpost } from 'ravenpost-client'
      const [url, token] = process.argv.slice(2)
      const client = createRavenpost({ url, getToken: () => token })
      client.counts.subscribe(async () => {
        const [first] = client.inbox.getSnapshot().items
        if (!first || first.readAt) return
        console.log(first.title)
        await client.read([first.id])
        console.log(client.counts.getSnapshot().unreadCount)
        client.stop()
      })
      client.start()`
    await writeFile(join(folder, 'follow.js'), script)
    const { stdout } = await run(process.execPath, ['follow.js', system.url, ana.accessToken], {
      cwd: folder,
      timeout: 30_000,
    })
    t.equal(stdout, 'ben followed you\n0\n')
    t.equal((await ana.get('/notifications/unread-count')).unreadCount, 0)
  })

  await t.test('the headless snippet of docs/client.md works', async (t) => {
    const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
    const [ana, ben] = [await system.as('ana'), await system.as('ben')]
    await writeFile(join(folder, 'headless.js'), (await snippets()).get('headless.js') ?? '')
    const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, 'headless.js', system.url, ana.accessToken], {
      cwd: folder,
    })
    t.teardown(() => child.kill())
    let said = ''
    child.stdout.on('data', (data) => {
      said += data
    })
    // The script prints only what arrives after its start, so Ben continues until it has started.
    await eventually(async () => {
      await ben.like((await ana.post('hello')).id)
      return said !== ''
    })
    t.match(said, /^ben liked your post$/m)
  })

  await t.test('the package is as small as docs/client.md promises', async (t) => {
    const page = await readFile(join(root, 'docs/client.md'), 'utf8')
    for (const [name, { imports, limit }] of Object.entries(await budgets())) {
      const size = await sizeOf(folder, imports)
      t.ok(size <= limit, `${name}: ${size.toFixed(1)} of ${limit} KB`)
      t.match(page, `| ${name} | ${limit} |`)
    }
  })
})

/** Older TypeScripts, 5.9 and 5.6, that other packages bring along. */
const oldCompilers = ['oazapfts', '@arethetypeswrong/core'].map((name) =>
  join(root, 'node_modules', name, 'node_modules/typescript/bin/tsc'),
)
