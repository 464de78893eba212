import { handlePush } from 'ravenpost-client/worker'

// The types of pages take `self` for a window; here it is a service worker.
handlePush(self as unknown as Parameters<typeof handlePush>[0], { icon: 'icon.svg', home: './' })
