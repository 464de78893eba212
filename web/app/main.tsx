import { createRoot } from 'react-dom/client'
import '../tokens.css'

const root = document.getElementById('root')
if (root) createRoot(root).render(<h1>Ravenpost</h1>)
