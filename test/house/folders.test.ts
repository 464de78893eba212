import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { imports, isAgainstTheDirection, sourceFiles } from './folders.ts'

t.test('imports between folders run in one direction', async (t) => {
  const against = imports().filter(isAgainstTheDirection)
  t.same(
    against.map(({ from, to }) => `${from} imports ${to}`),
    [],
  )
})

t.test('the check finds an import in the wrong direction', async (t) => {
  const found = [
    { from: 'src/notify/inbox/list.ts', to: 'src/social/users/view.ts', typeOnly: true },
    { from: 'src/db/pool.ts', to: 'src/app.ts', typeOnly: false },
    { from: 'src/social/likes/write.ts', to: 'src/notify/outbox/append.ts', typeOnly: false },
  ].map(isAgainstTheDirection)
  t.same(found, [true, true, false])
})

t.test('no folder has more than twelve files', async (t) => {
  const folders = Map.groupBy(sourceFiles(), (file) => dirname(file))
  const crowded = [...folders].filter(([, files]) => files.length > 12)
  t.same(
    crowded.map(([folder, files]) => `${folder}: ${files.length} files`),
    [],
  )
})

t.test('no batch statement names its columns by single letters', async (t) => {
  const letters = /unnest\([^)]*\$\d[^`]*?\) (with ordinality )?\w+ \((\w, )*\w[,)]/
  t.match('from unnest($1::bigint[], $2::text[]) w (u, g)', letters)
  t.same(
    sourceFiles().filter((file) => letters.test(readFileSync(file, 'utf8'))),
    [],
  )
})
