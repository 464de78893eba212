import webPush from 'web-push'

/** `npm run --silent vapid-keys`: a new pair of keys for Web Push. With other keys, browsers have to subscribe again. */
const { publicKey, privateKey } = webPush.generateVAPIDKeys()
process.stdout.write(`VAPID_PUBLIC_KEY=${publicKey}\nVAPID_PRIVATE_KEY=${privateKey}\n`)
