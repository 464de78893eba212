import fc from 'fast-check'
import { type Test, test } from 'tap'
import { clean } from '../../../src/social/media/clean.ts'
import { setup } from '../../setup.ts'
import { chunkOf, PIXEL, sha256, upload } from './files.ts'

const SECRET = 'GPSLatitude 52.5200'

/** EXIF of one directory with an orientation, and the secret after it. */
function exif(orientation: number): Buffer {
  const tiff = Buffer.from('49492a0008000000010012010300010000000000000000000000', 'hex')
  tiff.writeUInt16LE(orientation, 18)
  return Buffer.concat([tiff, Buffer.from(SECRET)])
}

const segment = (marker: number, content: Buffer | string) => {
  const bytes = Buffer.from(content as string, 'latin1')
  return Buffer.concat([Buffer.from([0xff, marker, (bytes.length + 2) >> 8, (bytes.length + 2) & 255]), bytes])
}
const box = (type: string, ...content: Buffer[]) => {
  const bytes = Buffer.concat(content)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + bytes.length)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, bytes])
}
const riff = (type: string, content: Buffer) => {
  const head = Buffer.alloc(8)
  head.write(type, 'latin1')
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)])
}

/** Two scans with stuffed bytes and restarts, as progressive pictures have. */
const scan = Buffer.concat([
  segment(0xda, '\x01\x01\x00\x00\x3f\x00'),
  Buffer.from([1, 0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xff, 0xd1, 4]),
])
const jpegOf = (...metadata: Buffer[]) =>
  Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xe0, 'JFIF\0\x01\x02\0\0\x01\0\x01\0\0'),
    ...metadata,
    segment(0xe2, 'ICC_PROFILE\0\x01\x01profile'),
    segment(0xdb, 'table'),
    scan,
    segment(0xc4, 'another table'),
    scan,
    Buffer.from([0xff, 0xd9]),
  ])
const jpeg = Buffer.concat([
  jpegOf(
    segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), exif(6)])),
    segment(0xe1, `http://ns.adobe.com/xap/1.0/\0${SECRET}`),
    segment(0xed, `Photoshop 3.0\0${SECRET}`),
    segment(0xe2, `MPF\0${SECRET}`),
    segment(0xfe, SECRET),
  ),
  Buffer.from(`the film of a moving picture ${SECRET}`),
])
const png = Buffer.concat([
  PIXEL.subarray(0, 33),
  chunkOf('gAMA', Buffer.from([0, 0, 0xb1, 0x8f])),
  chunkOf('tEXt', Buffer.from(SECRET)),
  chunkOf('eXIf', exif(6)),
  PIXEL.subarray(33, -12),
  chunkOf('iTXt', Buffer.from(SECRET)),
  PIXEL.subarray(-12),
  Buffer.from(SECRET),
])
const webp = riff(
  'RIFF',
  Buffer.concat([
    Buffer.from('WEBP'),
    riff('VP8X', Buffer.from([0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    riff('VP8L', Buffer.from('pixels!')),
    riff('EXIF', exif(6)),
    riff('XMP ', Buffer.from(SECRET)),
  ]),
)
const film = Buffer.concat([
  box('ftyp', Buffer.from('isomiso2mp41')),
  box(
    'moov',
    box('mvhd', Buffer.from('times')),
    box('trak', box('tkhd', Buffer.from('track')), box('udta', Buffer.from(SECRET))),
    box('udta', box('\xa9xyz', Buffer.from(SECRET))),
    box('meta', Buffer.from(SECRET)),
  ),
  box('uuid', Buffer.from(`0123456789abcdef${SECRET}`)),
  box('mdat', Buffer.from('samples, however many')),
])

const files: [mime: string, given: Buffer, kept: string[]][] = [
  ['image/jpeg', jpeg, ['JFIF', 'ICC_PROFILE', 'another table']],
  ['image/png', png, ['gAMA', 'IDAT', 'IEND']],
  ['image/webp', webp, ['pixels!']],
  ['video/mp4', film, ['mvhd', 'tkhd', 'samples, however many']],
]

for (const [mime, given, kept] of files)
  test(`${mime} is stored without location metadata`, async (t) => {
    const { url, as } = await setup(t)
    const { status, body } = await upload(url, await as('ana'), given)
    t.match({ status, body }, { status: 201, body: { mime } })
    const stored = Buffer.from(await (await fetch(`${url}/media/${body.id}/stream`)).arrayBuffer())
    t.notOk(stored.includes('52.5200'), 'no metadata')
    for (const text of kept) t.ok(stored.includes(Buffer.from(text, 'latin1')), text)
    t.same({ size: body.size, sha256: body.sha256 }, { size: stored.length, sha256: sha256(stored) })
    if (mime === 'image/webp' || mime === 'video/mp4') t.equal(stored.length, given.length, 'offsets and sizes hold')
    else t.equal(stored.at(-1), mime === 'image/jpeg' ? 0xd9 : 0x82, 'nothing is appended')
  })

test('an image keeps its orientation and no other metadata', async (t) => {
  for (const [mime, given] of files.slice(0, 3)) {
    const stored = await cleaned(mime, [given])
    t.ok(stored.includes(Buffer.from('4d4d002a00000008000101120003000000010006000000000000', 'hex')), mime)
  }
  const upright = await cleaned('image/jpeg', [
    jpegOf(segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), exif(1)]))),
  ])
  t.ok(upright.equals(jpegOf()))
})

test('a file is stored the same however it is split, and a clean file is unchanged', async (t) => {
  for (const [mime, given] of files) {
    const whole = await cleaned(mime, [given])
    t.ok((await cleaned(mime, [whole])).equals(whole), `${mime}: once is enough`)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 40 }), async (sizes) => {
        const pieces: Buffer[] = []
        let rest = given
        for (const size of sizes) {
          pieces.push(rest.subarray(0, size))
          rest = rest.subarray(size)
        }
        return (await cleaned(mime, [...pieces, rest])).equals(whole)
      }),
      { numRuns: 50 },
    )
  }
  t.pass()
})

test('a damaged file is refused or cut, without other failures', async (t) => {
  for (const [mime, given] of files)
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 12, max: given.length }),
        fc.array(fc.tuple(fc.nat(given.length - 1), fc.nat(255)), { maxLength: 2 }),
        async (length, changes) => {
          const broken = Buffer.from(given)
          for (const [at, value] of changes) if (at >= 12) broken[at] = value
          await cleaned(mime, [broken.subarray(0, length)]).catch((error) => {
            if (error.code !== 'MEDIA_TYPE_NOT_ALLOWED') throw error
          })
        },
      ),
      { numRuns: 200 },
    )
  await refused(t, 'image/jpeg', jpeg.subarray(0, 60))
  await refused(t, 'image/png', PIXEL.subarray(0, -12))
  await refused(t, 'image/webp', webp.subarray(0, -30))
  await refused(t, 'video/mp4', film.subarray(0, -5))
})

test('boxes in boxes, a large header and countless empty parts are refused early', async (t) => {
  const many = (part: Buffer | string, size: number) => Buffer.alloc(size, part as string, 'latin1')
  const ftyp = box('ftyp', Buffer.from('isom\0\0\0\0'))
  await refused(t, 'video/mp4', Buffer.concat([ftyp, many('\0\0\0\0moov', 40_000)]))
  await refused(t, 'video/mp4', Buffer.concat([ftyp, many('\0\0\0\0moov\0\0\0\0trak', 40_000)]))
  await refused(t, 'video/mp4', Buffer.concat([ftyp, box('trak', box('tkhd'))]))
  await refused(
    t,
    'image/webp',
    riff('RIFF', Buffer.concat([Buffer.from('WEBP'), riff('VP8X', Buffer.alloc(100_000))])),
  )
  const empty: [mime: string, start: string, part: string][] = [
    ['image/jpeg', '\xff\xd8', '\xff\x01'],
    ['image/jpeg', '\xff\xd8', '\xff'],
    ['image/jpeg', '\xff\xd8', '\xff\xda\0\x02'],
    ['image/png', '\x89PNG\r\n\x1a\n', '\0\0\0\0IDAT\0\0\0\0'],
    ['video/mp4', '', '\0\0\0\x08free'],
  ]
  for (const [mime, start, part] of empty)
    await refused(t, mime, Buffer.concat([Buffer.from(start, 'latin1'), many(part, part.length * 600_000)]))
})

test('types with metadata that cannot be removed are refused', async (t) => {
  const { url, as } = await setup(t)
  const heic = box('ftyp', Buffer.from('heic\0\0\0\0mif1heic'))
  const tiff = Buffer.concat([exif(1), Buffer.alloc(100)])
  const psd = Buffer.concat([Buffer.from('8BPS\0\x01', 'latin1'), Buffer.alloc(100)])
  const ana = await as('ana')
  for (const bytes of [heic, tiff, psd])
    t.match(await upload(url, ana, bytes), { status: 415, body: { code: 'MEDIA_TYPE_NOT_ALLOWED' } })
})

async function cleaned(mime: string, pieces: Buffer[]): Promise<Buffer> {
  const out: Buffer[] = []
  async function* source() {
    yield* pieces
  }
  for await (const piece of clean(mime, source())) out.push(Buffer.from(piece))
  return Buffer.concat(out)
}

function refused(t: Test, mime: string, bytes: Buffer) {
  return t.rejects(cleaned(mime, [bytes]), { code: 'MEDIA_TYPE_NOT_ALLOWED' })
}
