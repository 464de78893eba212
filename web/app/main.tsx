import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import '../tokens.css'
import './base.css'
import { App } from './app.tsx'
import { serverUrl } from './calls.ts'
import { Boundary } from './shell/boundary.tsx'
import { WordsProvider } from './words/words.tsx'

const root = document.getElementById('root')
const { pathname: base } = new URL(`${serverUrl}/`)
// Redirects to the app's base URL, because the server serves the page at any path.
if (!location.pathname.startsWith(base)) location.replace(base)
else if (root)
  createRoot(root).render(
    <StrictMode>
      <WordsProvider>
        <Boundary>
          <App />
        </Boundary>
      </WordsProvider>
    </StrictMode>,
  )
