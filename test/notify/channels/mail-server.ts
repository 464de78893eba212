import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import type { Test } from 'tap'

/** A mail as the server got it; `text` has the transfer encoding and soft line breaks taken off. */
export type Mail = { to: string; headers: Record<string, string>; text: string }

export type MailServer = {
  mails: Mail[]
  /** Connections that sent MAIL FROM. */
  asked: number
  /** Behaviour of the server: refuse the address or the whole mail with a code, answer late, or never answer. */
  does: 'accept' | { refuse: 'RCPT' | 'DATA'; code: number } | { afterMs: number } | 'hang'
  url: string
}

/** A real SMTP server on loopback, without TLS. */
export async function startMailServer(t: Test): Promise<MailServer> {
  const refusal = (code: number) => Object.assign(new Error('refused'), { responseCode: code })
  const smtp = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onMailFrom(_address, _session, done) {
      server.asked += 1
      if (server.does !== 'hang') done()
    },
    onRcptTo(_address, _session, done) {
      const { does } = server
      done(typeof does === 'object' && 'refuse' in does && does.refuse === 'RCPT' ? refusal(does.code) : null)
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk))
      stream.on('end', () => {
        const { does } = server
        if (typeof does === 'object' && 'refuse' in does) return done(refusal(does.code))
        const to = session.envelope.rcptTo[0]?.address ?? ''
        server.mails.push({ to, ...parse(Buffer.concat(chunks).toString()) })
        if (typeof does === 'object') setTimeout(done, does.afterMs)
        else done()
      })
    },
  })
  smtp.on('error', () => {})
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  const { port } = smtp.server.address() as AddressInfo
  const server: MailServer = { mails: [], asked: 0, does: 'accept', url: `smtp://127.0.0.1:${port}?requireTLS=false` }
  t.teardown(() => new Promise<void>((resolve) => smtp.close(() => resolve())))
  return server
}

function parse(raw: string): Omit<Mail, 'to'> {
  const [head = '', ...body] = raw.split('\r\n\r\n')
  const lines = head.replace(/\r\n\s+/g, ' ').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      decodeWords(line.slice(line.indexOf(':') + 1).trim()),
    ]),
  )
  const text = decodeLetters(body.join('\r\n\r\n').replace(/=\r\n/g, '')).replace(/=3D/g, '=')
  return { headers, text }
}

/** RFC 2047. */
function decodeWords(header: string): string {
  return header.replace(/=\?utf-8\?([qb])\?(.*?)\?=(\s+(?==\?))?/gi, (_word, kind: string, text: string) =>
    kind.toLowerCase() === 'b'
      ? Buffer.from(text, 'base64').toString()
      : decodeLetters(text.replaceAll('_', ' ')).replace(/=([0-9A-F]{2})/g, (_, hex) =>
          String.fromCharCode(Number.parseInt(hex, 16)),
        ),
  )
}

/** Letters beyond ASCII in quoted-printable text. Nothing else, because a link in plain text may look encoded. */
function decodeLetters(text: string): string {
  return text.replace(/(?:=[C-F][0-9A-F](?:=[89AB][0-9A-F])+)+/g, (bytes) =>
    Buffer.from(bytes.replaceAll('=', ''), 'hex').toString(),
  )
}
