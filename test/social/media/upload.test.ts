import { request } from 'node:http'
import type { Pool } from 'pg'
import { test } from 'tap'
import { cleanMedia } from '../../../src/social/media/free.ts'
import { eventually, setup } from '../../setup.ts'
import { multipart, PIXEL, picture, send, sha256, upload, uploaded } from './files.ts'

const count = async (pool: Pool, table: string) => (await pool.query(`select from social.${table}`)).rowCount

test('a file is stored under a random id, with the type its bytes have', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  for (const size of [100, 262_143, 262_144, 262_145, 1_000_000]) {
    const bytes = picture(size)
    const { status, body } = await upload(url, ana, bytes)
    t.equal(status, 201)
    t.match(body, { id: /^[A-Za-z0-9_-]{22}$/, mime: 'image/png', size, sha256: sha256(bytes) })
    const stored = await fetch(`${url}/media/${body.id}/stream`)
    t.ok(bytes.equals(Buffer.from(await stored.arrayBuffer())), `${size} bytes come back as they were`)
  }
  const { rows } = await pool.query('select max(length(bytes)) as max from social.media_chunks')
  t.equal(rows[0]?.max, 262_144)
})

test('what is no image, audio or video is refused, whatever it is called', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  for (const text of [
    '<html><script>alert(1)</script></html>',
    '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>',
    '%PDF-1.7\n',
    'MZ',
    'PK\u0003\u0004',
    '',
  ])
    t.match(await upload(url, ana, Buffer.from(text)), { status: 415, body: { code: 'MEDIA_TYPE_NOT_ALLOWED' } }, text)
  const large = await upload(url, ana, Buffer.alloc(6_000_000))
  t.equal(large.status, 415, 'also when much is still to come; the test ends, since the connection does')
  t.equal(await count(pool, 'media_contents'), 0)
})

test('bodies that are not one file in the field `file` are refused and leave nothing', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  const wrong = { status: 400, body: { code: 'VALIDATION_FAILED' } }
  t.match(await upload(url, ana, PIXEL, { field: 'picture' }), wrong)
  t.match(await send(url, ana, '{}', { 'content-type': 'application/json' }), {
    status: 415,
    body: { code: 'UNSUPPORTED_MEDIA_TYPE' },
  })
  t.match(await ana.request('POST', '/media/upload'), { status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } })
  const { body, headers } = multipart(picture(600_000))
  t.match(await send(url, ana, new Uint8Array(body.subarray(0, 400_000)), headers), wrong, 'without its end')
  t.match(await send(url, ana, new Uint8Array(0), headers), wrong, 'empty')
  t.match(await send(url, ana, new Uint8Array(body), { 'content-type': 'multipart/form-data' }), wrong, 'no boundary')
  t.match(await ana.request('POST', '/posts', body.toString('latin1'), headers), {
    status: 415,
    body: { code: 'UNSUPPORTED_MEDIA_TYPE' },
  })
  await eventually(async () => (await count(pool, 'media_contents')) === 0)
  t.equal(await count(pool, 'media_chunks'), 0)
})

test('a file above the limit is refused, and so is what exceeds the quota, also by two at once', async (t) => {
  const { url, as, pool } = await setup(t, { env: { MEDIA_MAX_MIB: '1', MEDIA_QUOTA_MIB: '2' } })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const MIB = 1024 * 1024
  t.match(await upload(url, ana, picture(MIB + 1)), { status: 413, body: { code: 'MEDIA_TOO_LARGE' } })
  t.equal((await upload(url, ana, picture(MIB))).status, 201)
  const both = await Promise.all([upload(url, ana, picture(MIB)), upload(url, ana, picture(MIB))])
  t.same(both.map(({ status }) => status).sort(), [201, 413])
  t.match(await upload(url, ana, PIXEL), { status: 413, body: { code: 'MEDIA_QUOTA_EXCEEDED' } })
  t.equal((await upload(url, ben, PIXEL)).status, 201, 'another user has a quota of their own')
  t.equal(await count(pool, 'media_contents'), 3, 'what was refused is not kept')
})

test('a file is kept once, whoever uploads it and however many at once, until the last lets go', async (t) => {
  const { url, as, pool, app } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const bytes = picture(300_000)
  const answers = await Promise.all([ana, ben, ana, ben, ana].map((who) => upload(url, who, bytes)))
  t.same(
    answers.map(({ status }) => status),
    [201, 201, 201, 201, 201],
  )
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 5)
  t.equal(await count(pool, 'media_contents'), 1)
  t.equal(await count(pool, 'media_chunks'), 2)

  await pool.query(`update social.media set unused_since = now() - interval '25 hours' where owner_id = $1`, [ana.id])
  await cleanMedia(app)
  t.equal(await count(pool, 'media'), 2)
  t.equal(await count(pool, 'media_contents'), 1)
  await pool.query(`update social.media set unused_since = now() - interval '25 hours'`)
  await cleanMedia(app)
  for (const table of ['media', 'media_contents', 'media_chunks']) t.equal(await count(pool, table), 0, table)
})

test('an upload that breaks off leaves nothing; one whose process was killed is cleaned up by the worker', async (t) => {
  const { url, as, pool } = await setup(t, { worker: true })
  const ana = await as('ana')
  const { body, headers } = multipart(picture(2_000_000))
  const broken = request(`${url}/media/upload`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${ana.accessToken}`, 'content-length': body.length },
  })
  broken.on('error', () => undefined)
  broken.write(body.subarray(0, 1_000_000))
  await eventually(async () => (await count(pool, 'media_chunks')) === 3)
  broken.destroy()
  await eventually(async () => (await count(pool, 'media_contents')) === 0)

  await pool.query(`insert into social.media_contents (mime, extension, created_at)
    select 'image/png', 'png', now() - make_interval(mins => m) from unnest('{30, 90}'::int[]) m`)
  const kept = await uploaded(url, ana)
  const lost = await uploaded(url, ana)
  await pool.query(`update social.media set unused_since = now() - interval '25 hours' where id = $1`, [lost])
  await pool.query(`select graphile_worker.add_job('clean_media')`)
  await eventually(async () => (await count(pool, 'media_contents')) === 2)
  t.equal((await fetch(`${url}/media/${lost}/stream`)).status, 404)
  t.equal((await fetch(`${url}/media/${kept}/stream`)).status, 200)
})

test('an upload of a user who is deleted meanwhile is not kept', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  await ana.deleteAccount()
  t.match(await upload(url, ana, PIXEL), { status: 401 })
  t.equal(await count(pool, 'media_contents'), 0)
})
