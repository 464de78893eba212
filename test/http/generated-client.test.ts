import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { generateSource } from 'oazapfts'
import { test } from 'tap'
import { setup } from '../setup.ts'

const directory = new URL('generated-client/', import.meta.url)

test('a client generated from the document compiles in strict mode and does what it says', async (t) => {
  const { url } = await setup(t, { worker: true })
  const source = await generateSource(`${url}/openapi.json`, { optimistic: true })
  await writeFile(new URL('api.ts', directory), source)

  const { status, stdout } = spawnSync('tsc', ['--project', directory.pathname], { encoding: 'utf8' })
  t.equal(status, 0, stdout)

  const story = await import(new URL('story.ts', directory).href)
  await story.runStory(url)
})
