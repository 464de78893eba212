import { createECDH, randomBytes } from 'node:crypto'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import ece from 'http_ece'
import { generate } from 'selfsigned'
import type { Test } from 'tap'
import webPush from 'web-push'

/** A push as its service got it, decrypted with the key of the browser it is for. */
export type Push = {
  headers: https.RequestOptions['headers'] & Record<string, unknown>
  content: Record<string, unknown>
}

export type PushService = {
  pushes: Push[]
  /** All received requests, also refused ones. */
  asked: number
  /** The answer: a status, or none. `never`: the push was discarded. `taken`: the push was accepted. */
  answer: number | 'never' | 'taken'
  /** Sent with every answer. */
  headers: Record<string, string>
  /** How long it takes over an answer. */
  afterMs: number
  agent: https.Agent
  origin: string
  /** A subscription as `pushManager.subscribe` in a browser returns it. */
  browser(): { endpoint: string; expirationTime: null; keys: { p256dh: string; auth: string } }
}

const keys = webPush.generateVAPIDKeys()

const hosts = ['push.example.org']

/** Variables of a server that sends Web Push, also to the services that were started before. */
export const vapid = {
  VAPID_PUBLIC_KEY: keys.publicKey,
  VAPID_PRIVATE_KEY: keys.privateKey,
  VAPID_SUBJECT: 'mailto:admin@example.org',
  get PUSH_HOSTS() {
    return hosts.join(',')
  },
}

/** Of all services of a test, so that the agent of one trusts the others. */
let certificate: ReturnType<typeof generate> | undefined

/** A push service on loopback with a certificate of its own; `agent` trusts it and refuses nothing. */
export async function startPushService(t: Test): Promise<PushService> {
  certificate ??= generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const { cert, private: key } = await certificate
  const browsers = new Map<string, { ecdh: ReturnType<typeof createECDH>; auth: string }>()
  const server = https.createServer({ cert, key }, async (request, response) => {
    service.asked += 1
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (service.answer === 'never') return
    const browser = browsers.get(String(request.url))
    if ((service.answer === 201 || service.answer === 'taken') && browser) {
      const clear = ece.decrypt(Buffer.concat(chunks), {
        version: 'aes128gcm',
        privateKey: browser.ecdh,
        authSecret: browser.auth,
      })
      service.pushes.push({ headers: request.headers, content: JSON.parse(clear.toString()) })
    }
    if (service.afterMs > 0) await delay(service.afterMs, undefined, { ref: false })
    if (service.answer !== 'taken') response.writeHead(service.answer, service.headers).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `https://localhost:${(server.address() as AddressInfo).port}`
  hosts.push(new URL(origin).host)
  const service: PushService = {
    pushes: [],
    asked: 0,
    answer: 201,
    headers: {},
    afterMs: 0,
    agent: new https.Agent({ ca: cert }),
    origin,
    browser() {
      const ecdh = createECDH('prime256v1')
      ecdh.generateKeys()
      const [path, auth] = [`/${randomBytes(8).toString('hex')}`, randomBytes(16).toString('base64url')]
      browsers.set(path, { ecdh, auth })
      return { endpoint: origin + path, expirationTime: null, keys: { p256dh: ecdh.getPublicKey('base64url'), auth } }
    },
  }
  t.teardown(() => {
    service.agent.destroy()
    server.closeAllConnections()
    server.close()
  })
  return service
}
