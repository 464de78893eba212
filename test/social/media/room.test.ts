import { type ClientRequest, request } from 'node:http'
import { type Test, test } from 'tap'
import type { TestClient } from '../../client.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { multipart, picture, upload } from './files.ts'

const MIB = 1024 * 1024

/** Begins an upload and keeps it open; without `announce`, without a Content-Length. */
function hold(t: Test, { url }: TestSystem, { accessToken }: TestClient, size: number, announce = true): ClientRequest {
  const { body, headers } = multipart(picture(size))
  const held = request(`${url}/media/upload`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${accessToken}`, ...(announce && { 'content-length': body.length }) },
  })
  held.on('error', () => undefined)
  held.write(body.subarray(0, 300))
  t.teardown(() => held.destroy())
  return held
}

const underWay = ({ pool }: TestSystem, count: number) =>
  eventually(async () => (await pool.query('select from social.media_uploads')).rowCount === count)

test('uploads in progress count against the quota, also without a declared length', async (t) => {
  const system = await setup(t, { env: { MEDIA_MAX_MIB: '2', MEDIA_QUOTA_MIB: '3' } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const held = hold(t, system, ana, 1.5 * MIB)
  await underWay(system, 1)
  const tooMuch = { status: 413, body: { code: 'MEDIA_QUOTA_EXCEEDED' } }
  t.match(await upload(system.url, ana, picture(1.6 * MIB)), tooMuch)
  t.equal((await upload(system.url, ben, picture(1.6 * MIB))).status, 201)
  held.destroy()
  await underWay(system, 0)
  t.equal((await upload(system.url, ana, picture(MIB))).status, 201, 'what broke off counts no more')
  hold(t, system, ana, 1000, false)
  await underWay(system, 1)
  t.match(await upload(system.url, ana, picture(1000)), tooMuch)
})

test('a user has at most four concurrent uploads, and those of a killed process expire after ten minutes', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await system.pool.query(
    `insert into social.media_uploads (owner_id, bytes) select $1, 1 from generate_series(1, 4)`,
    [ana.id],
  )
  const refusal = await upload(system.url, ana, picture(1000))
  t.match(refusal, { status: 429, body: { code: 'TOO_MANY_UPLOADS' } })
  t.equal(refusal.headers.get('retry-after'), '5')
  t.equal((await upload(system.url, ben, picture(1000))).status, 201)
  await system.pool.query(`update social.media_uploads set begun_at = now() - interval '11 minutes'`)
  t.equal((await upload(system.url, ana, picture(1000))).status, 201)
})

test('all uploads together respect MEDIA_TOTAL_MIB, including those in progress', async (t) => {
  const system = await setup(t, { env: { MEDIA_TOTAL_MIB: '2' } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  t.equal((await upload(system.url, ana, picture(MIB))).status, 201)
  hold(t, system, ana, MIB / 2)
  await underWay(system, 1)
  t.match(await upload(system.url, ben, picture(0.6 * MIB)), { status: 507, body: { code: 'MEDIA_STORAGE_FULL' } })
  t.equal((await upload(system.url, ben, picture(0.4 * MIB))).status, 201)
})

test('with mail configured, users without a verified address have a small quota', async (t) => {
  const env = { SMTP_URL: 'smtp://127.0.0.1:9', MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  const system = await setup(t, { env })
  const ana = await system.as('ana')
  const large = picture(21 * MIB)
  t.match(await upload(system.url, ana, large), {
    status: 413,
    body: { code: 'MEDIA_QUOTA_EXCEEDED', detail: /^Confirm your email address/ },
  })
  await system.pool.query('update social.users set email_verified_at = now()')
  t.equal((await upload(system.url, ana, large)).status, 201)
})
