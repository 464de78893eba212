import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import type { Test } from 'tap'

/** A mail as the server got it; `text` has the transfer encoding and soft line breaks taken off. */
export type Mail = { to: string; headers: Record<string, string>; text: string }

export type MailServer = {
  mails: Mail[]
  /** Connections that said MAIL FROM. */
  asked: number
  /** What it does: a code to refuse the address or the whole mail with, to take its time, or never to answer. */
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
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const text = body.join('\r\n\r\n').replace(/=\r\n/g, '').replace(/=3D/g, '=')
  return { headers, text }
}
