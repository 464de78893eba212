import { readFile, writeFile } from 'node:fs/promises'
import { withClient } from '../../db/client.ts'
import { describeSchema } from './describe-schema.ts'
import { withFreshDatabase } from './fresh-database.ts'

/** `npm run schema-doc [-- --check]`: writes docs/schema.md, or fails when it differs from the migrations. */
const file = new URL('../../../docs/schema.md', import.meta.url)

const text = await withFreshDatabase((url) => withClient(url, describeSchema))

if (!process.argv.includes('--check')) await writeFile(file, text)
else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  process.stderr.write('docs/schema.md differs from the database: run npm run schema-doc and commit it\n')
  process.exitCode = 1
}
