import webPush from 'web-push'

/**
 * `npm run --silent vapid-keys`: prints a new key pair for Web Push. After a change of keys, browsers must subscribe
 * again.
 */
const { publicKey, privateKey } = webPush.generateVAPIDKeys()
process.stdout.write(`VAPID_PUBLIC_KEY=${publicKey}\nVAPID_PRIVATE_KEY=${privateKey}\n`)
