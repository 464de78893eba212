import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { generateSource } from 'oazapfts'
import { test } from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { vapid } from '../notify/channels/push-service.ts'
import { setup } from '../setup.ts'

const directory = new URL('generated-client/', import.meta.url)

test('a generated client compiles in strict mode and can make every call', async (t) => {
  const { url, pool, as } = await setup(t, { env: vapid, worker: true, windowSeconds: 0 })
  await as('rita')
  await grantAdmin(pool, 'rita')
  const source = await generateSource(`${url}/openapi.json`, { optimistic: true })
  await writeFile(new URL('api.ts', directory), source)

  // Without the hook that tap passes on to every Node below a test: tsc does not start with it.
  const command = ['-u', 'NODE_OPTIONS', 'tsc', '--project', directory.pathname]
  const { status, stdout, stderr } = spawnSync('env', command, { encoding: 'utf8' })
  t.equal(status, 0, `tsc says: ${stdout}${stderr}`)

  const story = await import(new URL('story.ts', directory).href)
  await story.runStory(url)
  const rest = await import(new URL('surface.ts', directory).href)
  await rest.callTheRest(url, { login: 'rita' })
  const { called, calls } = await import(new URL('counted.ts', directory).href)
  t.ok(calls.length > 70)
  t.same(
    calls.filter((name: string) => !called.has(name)),
    [],
    'every call of the document was made',
  )
})
