import { crc32 } from 'node:zlib'
import { ByteReader, malformed } from './byte-reader.ts'

/**
 * Removes metadata that shows where, when and by whom a file was made: EXIF except orientation, XMP, IPTC, comments,
 * embedded thumbnails, appended data. Streams the file without decoding pixels or samples. Types without a cleaner pass
 * unchanged.
 * @throws {AppError} MEDIA_TYPE_NOT_ALLOWED when the file does not have the format that its first bytes indicate
 */
export async function* clean(mime: string, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const cleaner = cleaners[mime]
  if (!cleaner) return yield* source
  const reader = new ByteReader(source)
  yield* cleaner(reader)
  // The end of the upload shows whether it is complete.
  await reader.skipRest()
}

type Cleaner = (reader: ByteReader) => AsyncGenerator<Buffer, void>

const cleaners: Record<string, Cleaner> = {
  'image/jpeg': cleanJpeg,
  'image/png': cleanPng,
  'image/apng': cleanPng,
  'image/webp': cleanWebp,
  'video/mp4': cleanBoxes,
  'video/quicktime': cleanBoxes,
  'video/x-m4v': cleanBoxes,
  'video/3gpp': cleanBoxes,
  'audio/mp4': cleanBoxes,
  'audio/x-m4a': cleanBoxes,
}

/** ITU T.81, annex B: segments, each with a marker and a length. Compressed image data follows some of them. */
async function* cleanJpeg(reader: ByteReader): AsyncGenerator<Buffer, void> {
  yield await reader.read(2)
  for (let hasOrientation = false; ; ) {
    const marker = await readMarker(reader)
    if (marker === undefined) return
    const start = Buffer.from([0xff, marker])
    if (marker === EOI) return yield start
    if (isBare(marker)) {
      yield start
      continue
    }
    const length = await reader.read(2)
    const size = length.readUInt16BE() - 2
    if (size < 0) throw malformed()
    if (marker < APP0 || marker > COM) {
      yield Buffer.concat([start, length])
      yield* reader.take(size)
      if (marker === SOS) yield* takeScan(reader)
      continue
    }
    const content = await reader.read(size)
    if (isKept(marker, content)) yield Buffer.concat([start, length, content])
    const orientation = marker === APP1 && !hasOrientation ? orientationOf(content.subarray(6)) : undefined
    if (orientation === undefined) continue
    hasOrientation = true
    const exif = Buffer.concat([Buffer.from('Exif\0\0'), exifWith(orientation)])
    yield Buffer.concat([start, Buffer.from([0, exif.length + 2]), exif])
  }
}

const [SOS, EOI, APP0, APP1, APP2, APP14, COM] = [0xda, 0xd9, 0xe0, 0xe1, 0xe2, 0xee, 0xfe]

/** Markers without a length: restarts and TEM. */
const isBare = (marker: number) => (marker >= 0xd0 && marker <= 0xd7) || marker === 0x01

/** True for segments that define colours: JFIF without its own thumbnail, colour profiles, Adobe's transform. */
function isKept(marker: number, content: Buffer): boolean {
  const begins = (text: string) => content.subarray(0, text.length).toString('latin1') === text
  if (marker === APP0) return begins('JFIF\0')
  if (marker === APP2) return begins('ICC_PROFILE\0')
  return marker === APP14 && begins('Adobe')
}

/**
 * Any number of 0xff may precede a marker. Undefined when the file ends without its last marker, as truncated files do.
 */
async function readMarker(reader: ByteReader): Promise<number | undefined> {
  if (await reader.isAtEnd()) return undefined
  if ((await reader.read(1))[0] !== 0xff) throw malformed()
  for (;;) {
    const marker = (await reader.read(1))[0] ?? 0
    if (marker !== 0xff) return marker
  }
}

/** Passes data up to the next marker that is not a restart. In the data, 0 follows each 0xff. */
async function* takeScan(reader: ByteReader): AsyncGenerator<Buffer, void> {
  for (let from = 0; ; ) {
    const { buffered } = reader
    const at = buffered.indexOf(0xff, from)
    const next = at < 0 ? undefined : buffered[at + 1]
    if (next === undefined) {
      const kept = at < 0 ? 0 : 1
      yield* reader.take(buffered.length - kept)
      from = 0
      if (await reader.more()) continue
      return yield* reader.take(kept)
    }
    if (next !== 0 && next !== 0xff && !isBare(next)) return yield* reader.take(at)
    from = next === 0xff ? at + 1 : at + 2
  }
}

/**
 * PNG, third edition, section 5. Keeps the chunks that decoders need, and those that define colours, size and
 * animation.
 */
async function* cleanPng(reader: ByteReader): AsyncGenerator<Buffer, void> {
  yield await reader.read(8)
  for (;;) {
    const head = await reader.read(8)
    const size = head.readUInt32BE() + CRC_BYTES
    const type = head.toString('latin1', 4)
    if (!/^[A-Za-z]{4}$/.test(type)) throw malformed()
    if (/^[A-Z]/.test(type) || keptChunks.has(type)) {
      yield head
      yield* reader.take(size)
    } else if (type === 'eXIf' && size <= MOST_EXIF) {
      const orientation = orientationOf(await reader.read(size))
      if (orientation !== undefined) yield pngChunk('eXIf', exifWith(orientation))
    } else await reader.skip(size)
    if (type === 'IEND') return
  }
}

const CRC_BYTES = 4
const MOST_EXIF = 128 * 1024
const keptChunks = new Set('tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT'.split(' '))

function pngChunk(type: string, content: Buffer): Buffer {
  const chunk = Buffer.alloc(8 + content.length + CRC_BYTES)
  chunk.writeUInt32BE(content.length)
  chunk.write(type, 4, 'latin1')
  content.copy(chunk, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -CRC_BYTES)), chunk.length - CRC_BYTES)
  return chunk
}

/** RFC 9649. The total size comes first, so removed chunks are overwritten in place: decoders skip unknown chunks. */
async function* cleanWebp(reader: ByteReader): AsyncGenerator<Buffer, void> {
  const head = await reader.read(12)
  yield head
  for (let left = head.readUInt32LE(4) - 4; left >= 8; ) {
    const chunk = await reader.read(8)
    const type = chunk.toString('latin1', 0, 4)
    const size = chunk.readUInt32LE(4) + (chunk.readUInt32LE(4) % 2)
    left -= 8 + size
    if (left < 0) throw malformed()
    yield chunk
    if (type === 'VP8X') {
      if (size !== VP8X_BYTES) throw malformed()
      const flags = await reader.read(size)
      flags[0] = (flags[0] ?? 0) & ~XMP_FLAG
      yield flags
    } else if (type === 'EXIF' && size <= MOST_EXIF && size >= exifWith(1).length)
      yield Buffer.concat([exifWith(orientationOf(await reader.read(size)) ?? 1)], size)
    else if (webpImage.has(type)) yield* reader.take(size)
    else yield* emptied(reader, size)
  }
}

const VP8X_BYTES = 10
const XMP_FLAG = 0x04
const webpImage = new Set(['VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP'])

/**
 * ISO/IEC 14496-12 and QuickTime. Other boxes hold offsets into the file, so boxes of metadata become free space of the
 * same size. Tracks remain, including those that record the movement of a camera.
 */
async function* cleanBoxes(
  reader: ByteReader,
  left = Number.POSITIVE_INFINITY,
  parent: 'file' | 'moov' | 'trak' = 'file',
): AsyncGenerator<Buffer, void> {
  while (left >= 8 && !(await reader.isAtEnd())) {
    const head = await reader.read(8)
    const type = head.toString('latin1', 4)
    const large = head.readUInt32BE() === 1 ? await reader.read(8) : Buffer.alloc(0)
    const size = large.length > 0 ? Number(large.readBigUInt64BE()) : head.readUInt32BE() || left
    const content = size - head.length - large.length
    if (content < 0 || size > left) throw malformed()
    left -= size
    const isMetadata = metadataBoxes.has(type)
    if (isMetadata) head.write('free', 4, 'latin1')
    yield Buffer.concat([head, large])
    if (isMetadata) yield* emptied(reader, content)
    else if (type === 'moov' || type === 'trak') {
      if (parentOf[type] !== parent) throw malformed()
      yield* cleanBoxes(reader, content, type)
    } else yield* reader.take(content)
  }
  if (Number.isFinite(left)) yield* reader.take(left)
}

const metadataBoxes = new Set(['udta', 'meta', 'uuid'])
/** Also limits the depth: each level costs time for every piece of the file. */
const parentOf = { moov: 'file', trak: 'moov' }

const ZEROS = Buffer.alloc(64 * 1024)

async function* emptied(reader: ByteReader, size: number): AsyncGenerator<Buffer, void> {
  for await (const piece of reader.take(size))
    for (let at = 0; at < piece.length; at += ZEROS.length) yield ZEROS.subarray(0, piece.length - at)
}

/** The orientation, 2 to 8, from tag 274 of a TIFF (TIFF 6.0, section 2). Undefined when it is normal or missing. */
export function orientationOf(tiff: Buffer): number | undefined {
  const little = tiff.toString('latin1', 0, 2) === 'II'
  const short = (at: number) => (at + 2 > tiff.length ? 0 : little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  if (tiff.length < 8 || short(2) !== 42) return undefined
  const directory = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4)
  for (let entry = 0; entry < short(directory); entry++) {
    const at = directory + 2 + entry * 12
    if (at + 12 > tiff.length) return undefined
    if (short(at) !== 274) continue
    const orientation = short(at + 8)
    return orientation >= 2 && orientation <= 8 ? orientation : undefined
  }
  return undefined
}

/** A TIFF of one directory with one entry. */
function exifWith(orientation: number): Buffer {
  const tiff = Buffer.from('4d4d002a00000008000101120003000000010000000000000000', 'hex')
  tiff.writeUInt16BE(orientation, 18)
  return tiff
}
