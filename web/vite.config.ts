import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const [brotli, zip] = [promisify(brotliCompress), promisify(gzip)]
/** Bytes; below it the headers weigh more than what is saved. */
const WORTH_IT = 1024

export default defineConfig({
  root: import.meta.dirname,
  // Relative to <base>, which the server sets: the same build serves any path.
  base: './',
  plugins: [react(), compress()],
  // The copy of the root belongs to the test runner.
  resolve: { dedupe: ['react', 'react-dom'] },
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    // An inlined module would need a style or a script in the page, which the security policy forbids.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: join(import.meta.dirname, 'index.html'), sw: join(import.meta.dirname, 'sw.ts') },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
})

/** Writes .br and .gz beside each text file, so that the server compresses nothing. */
function compress(): Plugin {
  return {
    name: 'compress',
    async writeBundle({ dir = '' }) {
      const files = await readdir(dir, { recursive: true, withFileTypes: true })
      const texts = files.filter((file) => file.isFile() && /\.(js|css|svg|webmanifest)$/.test(file.name))
      await Promise.all(
        texts.map(async ({ parentPath, name }) => {
          const path = join(parentPath, name)
          const content = await readFile(path)
          if (content.length < WORTH_IT) return
          await Promise.all([
            writeFile(`${path}.br`, await brotli(content)),
            writeFile(`${path}.gz`, await zip(content)),
          ])
        }),
      )
    },
  }
}
