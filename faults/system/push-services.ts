import { createECDH, randomBytes } from 'node:crypto'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'
import webPush from 'web-push'

/** Two push services on loopback: one takes `SLOW_MS` for each answer, the other answers at once. */
export type PushServices = {
  slow: PushService
  quick: PushService
  /** Environment of workers that send to them: see push-worker.ts. */
  env: Record<string, string>
  close(): void
}

export type PushService = {
  asked: number
  /** A subscription as `pushManager.subscribe` in a browser returns it. */
  browser(): { endpoint: string; p256dh: string; auth: string }
}

const SLOW_MS = 9000

export async function startPushServices(): Promise<PushServices> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const servers: https.Server[] = []
  const hosts: string[] = []
  const start = async (answerAfterMs: number): Promise<PushService> => {
    const server = https.createServer({ cert, key }, (request, response) => {
      service.asked += 1
      request.resume()
      setTimeout(() => response.writeHead(201).end(), answerAfterMs)
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    hosts.push(`localhost:${port}`)
    const service = { asked: 0, browser: () => browserAt(`https://localhost:${port}`) }
    return service
  }
  const { publicKey, privateKey } = webPush.generateVAPIDKeys()
  return {
    slow: await start(SLOW_MS),
    quick: await start(0),
    env: {
      PUSH_HOSTS: hosts.join(','),
      VAPID_PUBLIC_KEY: publicKey,
      VAPID_PRIVATE_KEY: privateKey,
      VAPID_SUBJECT: 'mailto:chaos@example.org',
      CHAOS_PUSH_CERTIFICATE: cert,
    },
    close() {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

function browserAt(origin: string) {
  const ecdh = createECDH('prime256v1')
  ecdh.generateKeys()
  return {
    endpoint: `${origin}/${randomBytes(8).toString('hex')}`,
    p256dh: ecdh.getPublicKey('base64url'),
    auth: randomBytes(16).toString('base64url'),
  }
}
