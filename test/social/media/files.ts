import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Answer, TestClient } from '../../client.ts'

/** The smallest PNG there is: one pixel. */
export const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** A PNG of this many bytes with random pixels, so that no two are equal. */
export function picture(size: number): Buffer {
  const [head, end] = [PIXEL.subarray(0, 33), PIXEL.subarray(-12)]
  return Buffer.concat([head, chunkOf('IDAT', randomBytes(size - head.length - end.length - 12)), end])
}

/** A chunk of a PNG. */
export function chunkOf(type: string, content: Buffer): Buffer {
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)]
  const checked = Buffer.concat([Buffer.from(type), content])
  length.writeUInt32BE(content.length)
  crc.writeUInt32BE(crc32(checked))
  return Buffer.concat([length, checked, crc])
}

export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

const BOUNDARY = 'a-boundary-that-is-in-no-file'

/** Uploads bytes in a field; `parts` replaces the whole body. */
export async function upload(
  url: string,
  client: Pick<TestClient, 'accessToken'>,
  bytes: Buffer,
  { field = 'file', headers = {} }: { field?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const form = new FormData()
  form.append(field, new Blob([new Uint8Array(bytes)]), 'anything.html')
  return send(url, client, form, headers)
}

export async function send(
  url: string,
  { accessToken }: Pick<TestClient, 'accessToken'>,
  body: FormData | string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/media/upload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${accessToken}`, ...headers },
    body,
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

/** The id of a file that was uploaded. */
export async function uploaded(url: string, client: TestClient, bytes = picture(100)): Promise<string> {
  const { status, body } = await upload(url, client, bytes)
  if (status !== 201) throw new Error(`answered ${status}: ${JSON.stringify(body)}`)
  return body.id
}

/** A multipart body by hand, to be broken. */
export function multipart(bytes: Buffer): { body: Buffer; headers: Record<string, string> } {
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n`
  return {
    body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  }
}
