import type { App } from './app.ts'

export type Worker = { close(): Promise<void> }

export async function startWorker(_app: App): Promise<Worker> {
  return { async close() {} }
}
