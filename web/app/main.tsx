import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import '../tokens.css'
import './base.css'
import { App } from './app.tsx'
import { Boundary } from './shell/boundary.tsx'
import { WordsProvider } from './words/words.tsx'

const root = document.getElementById('root')
if (root)
  createRoot(root).render(
    <StrictMode>
      <WordsProvider>
        <Boundary>
          <App />
        </Boundary>
      </WordsProvider>
    </StrictMode>,
  )
