import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { testConfig } from '../../setup.ts'

test('the configuration accepts the generated VAPID keys, and each run generates new ones', async (t) => {
  const command = fileURLToPath(new URL('../../../src/commands/vapid-keys.ts', import.meta.url))
  const [one, other] = [1, 2].map(() => {
    const { stdout, stderr } = spawnSync(process.execPath, [command], { encoding: 'utf8' })
    t.equal(stderr, '')
    const env = Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=', 2)),
    )
    return testConfig('postgres://localhost/x', { ...env, VAPID_SUBJECT: 'mailto:admin@example.org' }).vapid
  })
  t.match(one, { publicKey: /^[\w-]{87}$/, privateKey: /^[\w-]{43}$/ })
  t.not(one?.privateKey, other?.privateKey)
})
