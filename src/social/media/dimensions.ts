import { orientationOf } from './clean.ts'

export type Dimensions = { width: number; height: number }

/**
 * Width and height of a displayed image in pixels, from its header. Null for other files, and when `start`, the first
 * chunk, does not contain them.
 */
export function dimensionsOf(mime: string, start: Buffer): Dimensions | null {
  try {
    const found = readers[mime]?.(start) ?? null
    return found && isLength(found.width) && isLength(found.height) ? found : null
  } catch (error) {
    if (error instanceof RangeError) return null // the header ends too early
    throw error
  }
}

/** PNG, third edition, section 7.1: the maximum length. */
const isLength = (pixels: number) => pixels > 0 && pixels < 2 ** 31

const readers: Record<string, (start: Buffer) => Dimensions | null> = {
  'image/jpeg': ofJpeg,
  'image/png': ofPng,
  'image/apng': ofPng,
  'image/gif': (start) => ({ width: start.readUInt16LE(6), height: start.readUInt16LE(8) }),
  'image/webp': ofWebp,
  'image/avif': ofAvif,
}

/** ITU T.81, annex B: the frame header, and the orientation in a TIFF before it. */
function ofJpeg(start: Buffer): Dimensions | null {
  let isTurned = false
  for (let at = 2; ; ) {
    if (start.readUInt8(at) !== 0xff) return null
    const marker = start.readUInt8(at + 1)
    if (marker === 0xff || isBare(marker)) {
      at += marker === 0xff ? 1 : 2
      continue
    }
    const size = start.readUInt16BE(at + 2)
    if (isFrame(marker)) {
      const [height, width] = [start.readUInt16BE(at + 5), start.readUInt16BE(at + 7)]
      return turned({ width, height }, isTurned)
    }
    if (marker === APP1) isTurned ||= (orientationOf(start.subarray(at + 10, at + 2 + size)) ?? 1) >= FIRST_TURNED
    at += 2 + size
  }
}

const APP1 = 0xe1
/** From this orientation on, width and height are swapped. */
const FIRST_TURNED = 5
const isBare = (marker: number) => (marker >= 0xd0 && marker <= 0xd7) || marker === 0x01
/** SOF0 to SOF15, except the three numbers in between that mark tables. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/** PNG, third edition, section 11.2.2: the first chunk. */
function ofPng(start: Buffer): Dimensions {
  return { width: start.readUInt32BE(16), height: start.readUInt32BE(20) }
}

/** RFC 9649: the canvas, or the file's only image, lossy or lossless. */
function ofWebp(start: Buffer): Dimensions | null {
  const chunk = start.toString('latin1', 12, 16)
  if (chunk === 'VP8X') return { width: 1 + start.readUIntLE(24, 3), height: 1 + start.readUIntLE(27, 3) }
  if (chunk === 'VP8 ') return { width: start.readUInt16LE(26) & 0x3fff, height: start.readUInt16LE(28) & 0x3fff }
  if (chunk !== 'VP8L') return null
  const bits = start.readUInt32LE(21)
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
}

/** ISO/IEC 23008-12: the largest image is the one displayed. The others are its tiles and thumbnails. */
function ofAvif(start: Buffer): Dimensions | null {
  const meta = start.indexOf('meta', 0, 'latin1')
  if (meta < 4) return null
  const box = start.subarray(meta, meta - 4 + start.readUInt32BE(meta - 4))
  let largest: Dimensions | null = null
  for (let at = box.indexOf('ispe'); at >= 0; at = box.indexOf('ispe', at + 4)) {
    const [width, height] = [box.readUInt32BE(at + 8), box.readUInt32BE(at + 12)]
    if (!largest || width * height > largest.width * largest.height) largest = { width, height }
  }
  const rotation = box.indexOf('irot')
  return largest && turned(largest, rotation >= 0 && (box.readUInt8(rotation + 4) & 1) === 1)
}

function turned({ width, height }: Dimensions, isTurned: boolean): Dimensions {
  return isTurned ? { width: height, height: width } : { width, height }
}
