import { request } from 'node:http'
import fc from 'fast-check'
import type { Pool } from 'pg'
import { test } from 'tap'
import { dimensionsOf } from '../../../src/social/media/dimensions.ts'
import { cleanMedia } from '../../../src/social/media/free.ts'
import { eventually, setup } from '../../setup.ts'
import { multipart, PIXEL, picture, send, sha256, upload, uploaded } from './files.ts'

/** Of each kind of image the smallest file: its type, the file, the length of its sides in pixels. */
const smallest: [mime: string, base64: string, sides: number, name: string][] = [
  ['image/png', PIXEL.toString('base64'), 1, 'png'],
  ['image/gif', 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 1, 'gif'],
  ['image/webp', 'UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 1, 'lossy'],
  ['image/webp', 'UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==', 1, 'lossless'],
  [
    'image/webp',
    'UklGRkoAAABXRUJQVlA4WAoAAAAQAAAAAAAAAAAAQUxQSAwAAAARBxAR/Q9ERP8DAABWUDggGAAAABQBAJ0BKgEAAQAAAP4AAA3AAP7mtQAAAA==',
    1,
    'with alpha',
  ],
  [
    'image/jpeg',
    '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA=',
    1,
    'jpeg',
  ],
  [
    'image/avif',
    'AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAAB0AAAAoaWluZgAAAAAAAQAAABppbmZlAgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAAAIAAAACAAAAEHBpeGkAAAAAAwgICAAAAAxhdjFDgQ0MAAAAABNjb2xybmNseAACAAIAAYAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAACVtZGF0EgAKCBgANogQEAwgMg8f8D///8WfhwB8+ErK42A=',
    2,
    'avif',
  ],
]

const count = async (pool: Pool, table: string) => (await pool.query(`select from social.${table}`)).rowCount

test('a file is stored under a random id with the type of its content', async (t) => {
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

test('an image has its width and height as displayed', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  for (const [mime, base64, sides, name] of smallest) {
    const bytes = Buffer.from(base64, 'base64')
    t.match(await upload(url, ana, bytes), { status: 201, body: { mime, width: sides, height: sides } }, name)
  }
  const { body } = await upload(url, ana, Buffer.from('ID3\x03\0\0\0\0\0\0 and so on', 'latin1'))
  t.notOk('width' in body || 'height' in body, 'what has none has none')

  const file = (kind: string, changes: Record<number, string> = {}) => {
    const bytes = Buffer.from(smallest.find(([, , , name]) => name === kind)?.[1] ?? '', 'base64')
    for (const [at, hex] of Object.entries(changes)) Buffer.from(hex, 'hex').copy(bytes, Number(at))
    return bytes
  }
  const wide = { width: 700, height: 300 }
  t.same(dimensionsOf('image/gif', file('gif', { 6: 'bc022c01' })), wide)
  t.same(dimensionsOf('image/webp', file('lossy', { 26: 'bc022c01' })), wide)
  t.same(dimensionsOf('image/webp', file('lossless', { 21: 'bbc24a00' })), wide)
  t.same(dimensionsOf('image/webp', file('with alpha', { 24: 'bb02002b0100' })), wide)
  const sides = file('avif').indexOf('ispe') + 8
  t.same(dimensionsOf('image/avif', file('avif', { [sides]: '000002bc0000012c' })), wide)
  const frame = file('jpeg').indexOf(Buffer.from('ffc2', 'hex')) + 5
  const jpeg = file('jpeg', { [frame]: '012c02bc' })
  t.same(dimensionsOf('image/jpeg', jpeg), wide)
  for (const orientation of [1, 3, 6, 8]) {
    const exif = Buffer.from('ffe100224578696600004d4d002a00000008000101120003000000010000000000000000', 'hex')
    exif.writeUInt8(orientation, 29)
    const shown = dimensionsOf('image/jpeg', Buffer.concat([jpeg.subarray(0, 2), exif, jpeg.subarray(2)]))
    t.same(shown, orientation > 4 ? { width: 300, height: 700 } : wide, `orientation ${orientation}`)
  }
})

test('any header, even a broken one, gives valid dimensions or none', async () => {
  const known = smallest.map(([mime, base64]) => [mime, Buffer.from(base64, 'base64')] as const)
  const broken = fc.tuple(fc.constantFrom(...known), fc.nat(300), fc.array(fc.tuple(fc.nat(300), fc.nat(255))))
  fc.assert(
    fc.property(broken, ([[mime, whole], length, changes]) => {
      const bytes = Buffer.from(whole.subarray(0, length))
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      const found = dimensionsOf(mime, bytes)
      return found === null || (found.width > 0 && found.height > 0)
    }),
  )
})

test('a file has an alternative text, sent before or after it', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  type Field = [name: string, value: string | Blob]
  const sent = (...fields: Field[]) => {
    const form = new FormData()
    for (const [name, value] of fields) form.append(name, value)
    return send(url, ana, form)
  }
  const file: Field = ['file', new Blob([new Uint8Array(PIXEL)])]
  const first = await sent(['alt', ' A cat 🐈 '], file)
  t.match(first, { status: 201, body: { width: 1, height: 1, alt: 'A cat 🐈' } })
  const second = await sent(file, ['alt', 'The same cat'])
  t.match(second, { status: 201, body: { sha256: first.body.sha256, alt: 'The same cat' } }, 'each upload has its own')
  t.notOk('alt' in (await sent(file, ['alt', ' '])).body)
  const made = await ana.request('POST', '/posts', { body: 'Cats', mediaIds: [second.body.id, first.body.id] })
  const shown = { mime: 'image/png', size: PIXEL.length, width: 1, height: 1 }
  t.same(made.body.media, [
    { id: second.body.id, ...shown, alt: 'The same cat' },
    { id: first.body.id, ...shown, alt: 'A cat 🐈' },
  ])
  t.equal((await sent(file, ['alt', '🐈'.repeat(1000)])).status, 201)
  const wrong = { status: 400, body: { code: 'VALIDATION_FAILED' } }
  for (const alt of ['x'.repeat(1001), '🐈'.repeat(1001), 'x'.repeat(9000), 'a\0b'])
    t.match(await sent(file, ['alt', alt]), wrong, `${alt.length} ${alt.slice(0, 4)}`)
  const two: Field[][] = [[file, file], [['title', 'x'], file], [['alt', 'x'], file, ['alt', 'y']], [['alt', 'x']]]
  for (const fields of two) t.match(await sent(...fields), wrong, fields.map(([name]) => name).join())
  const again = (alt: string) => {
    const form = new FormData()
    for (const [name, value] of [file, ['alt', alt] as Field]) form.append(name, value)
    return send(url, ana, form, { 'idempotency-key': 'cat' })
  }
  t.equal((await again('one')).body.id, (await again('one')).body.id)
  t.equal((await again('two')).status, 422, 'another text is another body')
})

test('files other than images, audio and video are refused under any name', async (t) => {
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

test('bodies other than one file in the field `file` are refused and leave nothing', async (t) => {
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

test('files above the size limit or the quota are refused, also when uploaded concurrently', async (t) => {
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

test('identical files are stored once until the last owner deletes them', async (t) => {
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

test('an interrupted upload leaves nothing, and the worker cleans up after a killed process', async (t) => {
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

test('an upload of a user who is deleted meanwhile is not stored', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  await ana.deleteAccount()
  t.match(await upload(url, ana, PIXEL), { status: 401 })
  t.equal(await count(pool, 'media_contents'), 0)
})
