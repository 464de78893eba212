import { createRavenpost } from 'ravenpost-client'
import { RavenpostProvider, useBadge } from 'ravenpost-client/react'
import { ConnectionStatus, german, Inbox, RavenpostUi, Toaster } from 'ravenpost-client/ui'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import 'ravenpost-client/ui.css'

/** Somebody else's app that has the inbox in it; who is signed in, and where, is in its address. */
const { url = '', token = '', userId = '', language = 'en' } = Object.fromEntries(new URLSearchParams(location.search))
const client = createRavenpost({ url, userId, getToken: () => token })
const strings = language === 'de' ? german : undefined
const navigate = (url: string) => document.querySelector('output')?.replaceChildren(url)
document.documentElement.dir = language === 'ar' ? 'rtl' : 'ltr'

function App() {
  useBadge({ favicon: false })
  return (
    <RavenpostUi strings={strings}>
      <header>
        <h1>An app</h1>
        <ConnectionStatus />
        <Inbox strings={strings} navigate={navigate} />
      </header>
      <main>
        <output aria-label="Page" />
      </main>
      <Toaster strings={strings} navigate={navigate} />
    </RavenpostUi>
  )
}

createRoot(document.getElementById('root') ?? document.body).render(
  <StrictMode>
    <RavenpostProvider client={client}>
      <App />
    </RavenpostProvider>
  </StrictMode>,
)
