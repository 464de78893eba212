import { readFile } from 'node:fs/promises'

/** Code blocks of docs/client.md that begin with the name of their file. */
export async function snippets(): Promise<Map<string, string>> {
  const page = await readFile(new URL('../../docs/client.md', import.meta.url), 'utf8')
  const blocks = page.matchAll(/```(?:tsx?|js)\n\/\/ ([\w-]+\.\w+)\n([\s\S]*?)```/g)
  return new Map([...blocks].map(([, name = '', code = '']) => [name, code]))
}
