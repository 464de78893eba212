import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { test } from 'tap'
import { parseRange } from '../../../src/social/media/range.ts'
import { eventually, setup } from '../../setup.ts'
import { sized } from '../../size.ts'
import { picture, sha256, uploaded } from './files.ts'

test('random ranges equal the uploaded bytes', async (t) => {
  t.setTimeout(180_000)
  const { url, as } = await setup(t)
  const bytes = picture(1_500_000)
  const at = `${url}/media/${await uploaded(url, await as('ana'), bytes)}/stream`
  const nat = (below: number) => Math.floor(Math.random() * below)
  const ranges = Array.from({ length: sized(1000, 200) }, (_, i) => {
    const start = nat(bytes.length)
    // Some are short, some end around the border of a chunk, some are open.
    const border = 262_144 * (1 + Math.floor(start / 262_144)) - 1 + nat(3)
    const end = [start + nat(100), start + nat(bytes.length), border][i % 3] ?? start
    if (i % 10 === 8) return { range: `bytes=${start}-`, expected: bytes.subarray(start) }
    if (i % 10 === 9) return { range: `bytes=-${bytes.length - start}`, expected: bytes.subarray(start) }
    return { range: `bytes=${start}-${end}`, expected: bytes.subarray(start, end + 1) }
  })
  const wrong: string[] = []
  const ask = async () => {
    for (let next = ranges.pop(); next; next = ranges.pop()) {
      const { range, expected } = next
      const answer = await fetch(at, { headers: { range } })
      const part = Buffer.from(await answer.arrayBuffer())
      const [, start] = /bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '') ?? []
      const named = `bytes ${start}-${Number(start) + expected.length - 1}/${bytes.length}`
      const fits = answer.status === 206 && answer.headers.get('content-range') === named && part.equals(expected)
      if (!fits) wrong.push(`${range}: ${answer.status} ${answer.headers.get('content-range')}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, ask))
  t.same(wrong, [])
})

test('curl --range gets the same bytes', async (t) => {
  const { url, as } = await setup(t)
  const bytes = picture(700_000)
  const at = `${url}/media/${await uploaded(url, await as('ana'), bytes)}/stream`
  for (const [range, part] of [
    ['0-0', bytes.subarray(0, 1)],
    ['262143-262144', bytes.subarray(262_143, 262_145)],
    ['100-599999', bytes.subarray(100, 600_000)],
    ['650000-', bytes.subarray(650_000)],
    ['-1', bytes.subarray(-1)],
    ['-9999999', bytes],
    ['0-9999999', bytes],
  ] as const) {
    const { stdout } = await curl(['--silent', '--fail', '--range', range, at], { encoding: 'buffer', maxBuffer: 1e7 })
    t.ok(part.equals(stdout), range)
  }
})

const curl = (args: string[], options: { encoding: 'buffer'; maxBuffer: number }) =>
  promisify(execFile)('curl', args, options)

test('media headers name the type, allow caching and prevent rendering', async (t) => {
  const { url, as } = await setup(t)
  const bytes = picture(1000)
  const id = await uploaded(url, await as('ana'), bytes)
  const at = `${url}/media/${id}/stream`
  for (const method of ['GET', 'HEAD']) {
    const answer = await fetch(at, { method })
    t.equal(answer.status, 200)
    t.match(Object.fromEntries(answer.headers), {
      'content-type': 'image/png',
      'content-length': '1000',
      'content-disposition': `attachment; filename="${id}.png"`,
      'accept-ranges': 'bytes',
      etag: `"${sha256(bytes)}"`,
      'cache-control': 'public, max-age=86400, immutable',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cross-origin-resource-policy': 'same-origin',
    })
    t.equal((await answer.arrayBuffer()).byteLength, method === 'HEAD' ? 0 : 1000)
  }
  for (const unknown of ['x', 'AAAAAAAAAAAAAAAAAAAAAA', '..%2f..%2fetc%2fpasswd'])
    t.ok([400, 404].includes((await fetch(`${url}/media/${unknown}/stream`)).status), unknown)
})

test('pages of allowed origins can show and read media', async (t) => {
  const origin = 'https://app.example.org'
  const { url, as } = await setup(t, { env: { ALLOWED_ORIGINS: origin } })
  const at = `${url}/media/${await uploaded(url, await as('ana'))}/stream`
  const { headers } = await fetch(at, { headers: { origin, range: 'bytes=0-9' } })
  t.equal(headers.get('cross-origin-resource-policy'), 'cross-origin')
  t.equal(headers.get('access-control-allow-origin'), origin)
  t.match(headers.get('access-control-expose-headers'), /etag, content-range/)
})

test('conditional requests are answered by the entity tag', async (t) => {
  const { url, as } = await setup(t)
  const bytes = picture(1000)
  const at = `${url}/media/${await uploaded(url, await as('ana'), bytes)}/stream`
  const etag = `"${sha256(bytes)}"`
  const answer = async (headers: Record<string, string>, method = 'GET') => {
    const { status, headers: sent, ...response } = await fetch(at, { method, headers })
    return [status, sent.get('content-range'), sent.get('etag'), response] as const
  }
  for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, '*'])
    for (const method of ['GET', 'HEAD'])
      t.same((await answer({ 'if-none-match': tags, range: 'bytes=0-1' }, method)).slice(0, 3), [304, null, etag], tags)
  t.equal((await answer({ 'if-none-match': '"other"' }))[0], 200)

  const range = 'bytes=0-1'
  t.equal((await answer({ range, 'if-range': etag }))[0], 206)
  for (const other of ['"other"', `W/${etag}`, 'Wed, 21 Oct 2026 07:28:00 GMT'])
    t.equal((await answer({ range, 'if-range': other }))[0], 200, other)
  t.equal((await answer({ range }, 'HEAD'))[0], 200, 'ranges are of GET only')
})

test('unsatisfiable ranges answer 416; malformed and multiple ranges get the whole file', async (t) => {
  const { url, as } = await setup(t)
  const at = `${url}/media/${await uploaded(url, await as('ana'), picture(1000))}/stream`
  for (const range of ['bytes=1000-', 'bytes=5000-6000', 'bytes=-0']) {
    const answer = await fetch(at, { headers: { range } })
    t.equal(answer.status, 416, range)
    t.equal(answer.headers.get('content-range'), 'bytes */1000')
    t.match(await answer.json(), { code: 'RANGE_NOT_SATISFIABLE' })
  }
  for (const range of ['bytes=', 'bytes=-', 'bytes=5-2', 'bytes=0-1,5-6', 'items=0-1', 'bytes=a-b', 'bytes=0x1-2'])
    t.equal((await fetch(at, { headers: { range } })).status, 200, range)
  t.same(parseRange('bytes=0-99999999999999999999999', 10), { start: 0, end: 9 })
})

test('slow readers hold no database connection and get the rest when they continue', async (t) => {
  const { url, as, pool } = await setup(t, { env: { POOL_SIZE: '2' } })
  const ana = await as('ana')
  const bytes = picture(12_000_000)
  const at = `${url}/media/${await uploaded(url, ana, bytes)}/stream`
  const readers = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const [answer] = (await once(get(at), 'response')) as [IncomingMessage]
      return answer.pause()
    }),
  )
  for (let i = 0; i < 20; i++) t.equal((await ana.request('GET', '/auth/me')).status, 200)
  t.equal(pool.waitingCount, 0)
  for (const reader of readers) {
    const parts: Buffer[] = []
    for await (const part of reader) parts.push(part)
    t.ok(bytes.equals(Buffer.concat(parts)))
  }
})

test('a client that disconnects stops the reading', async (t) => {
  const { url, as, pool, server } = await setup(t)
  const at = `${url}/media/${await uploaded(url, await as('ana'), picture(12_000_000))}/stream`
  let chunks = 0
  const query = pool.query
  t.intercept(pool, 'query', {
    value: (...args: Parameters<typeof query>) => {
      if (Object(args[0]).name === 'read_media_chunk') chunks += 1
      return query.apply(pool, args)
    },
  })
  const connections = promisify(server.server.getConnections.bind(server.server))
  const before = await connections()
  const asked = get(at, { agent: false })
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.on('error', () => undefined)
  await once(answer, 'data')
  asked.destroy()
  await eventually(async () => (await connections()) === before)
  t.ok(chunks > 0 && chunks < 46, `${chunks} of 46 chunks were read`)
})
