import { type AppError, fail } from '../../errors.ts'

/** Reads a stream in parts of the requested size. Holds at most one such part and one piece of the stream. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Buffer>
  #buffered: Buffer = Buffer.alloc(0)
  #reads = 0

  constructor(source: AsyncIterable<Buffer>) {
    this.#pieces = source[Symbol.asyncIterator]()
  }

  /** Received bytes that have not been read. */
  get buffered(): Buffer {
    return this.#buffered
  }

  /** Waits for another piece. @returns false at the end */
  async more(): Promise<boolean> {
    const { done, value } = await this.#pieces.next()
    if (done) return false
    this.#buffered = this.#buffered.length > 0 ? Buffer.concat([this.#buffered, value]) : value
    return true
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#buffered.length === 0) if (!(await this.more())) return true
    return false
  }

  /**
   * Reads and holds exactly `size` bytes, so `size` should be small.
   * @throws {AppError} MEDIA_TYPE_NOT_ALLOWED when the file ends before, or has been read in too many parts
   */
  async read(size: number): Promise<Buffer> {
    if (++this.#reads > MOST_READS) throw malformed()
    while (this.#buffered.length < size) if (!(await this.more())) throw malformed()
    return Buffer.from(this.#cut(size))
  }

  /**
   * Passes on the next `size` bytes as they arrive.
   * @throws {AppError} MEDIA_TYPE_NOT_ALLOWED when the file ends before, unless `size` is infinite
   */
  async *take(size: number): AsyncGenerator<Buffer, void> {
    for (let left = size; left > 0; ) {
      if (await this.isAtEnd()) {
        if (size === Number.POSITIVE_INFINITY) return
        throw malformed()
      }
      const piece = this.#cut(Math.min(left, this.#buffered.length))
      left -= piece.length
      yield piece
    }
  }

  async skip(size: number): Promise<void> {
    for await (const _ of this.take(size));
  }

  async skipRest(): Promise<void> {
    await this.skip(Number.POSITIVE_INFINITY)
  }

  #cut(size: number): Buffer {
    const cut = this.#buffered.subarray(0, size)
    this.#buffered = this.#buffered.subarray(size)
    return cut
  }
}

/**
 * A file of nothing but empty segments takes a minute of computing per 50 MiB. Encoders write parts of 4 KiB or more, and each
 * takes at most four reads.
 */
const MOST_READS = 500_000

export function malformed(): AppError {
  return fail('MEDIA_TYPE_NOT_ALLOWED', 'The file is damaged, or its content does not match its type')
}
