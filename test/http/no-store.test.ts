import { test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'

test('answers, refusals too, are stored nowhere, but for media and the pages of the documentation', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  for (const path of ['/auth/me', '/auth/sessions', '/notifications', '/notifications/preferences', '/posts/99'])
    t.equal((await ana.request('GET', path)).headers.get('cache-control'), 'no-store', path)
  t.equal((await call(url, 'GET', '/auth/me')).headers.get('cache-control'), 'no-store')
  t.equal((await call(url, 'GET', '/readyz')).headers.get('cache-control'), 'no-store')
  t.match((await call(url, 'GET', '/docs/static/swagger-ui.css')).headers.get('cache-control'), /^public/)
})
