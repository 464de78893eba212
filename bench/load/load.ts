import { fork } from 'node:child_process'
import type { World } from '../world.ts'
import type { Generator, Protocol } from './generator.ts'

type Answer = { id: number; result?: unknown; error?: string }
type Pending = { resolve: (result: unknown) => void; reject: (error: Error) => void }

/** Calls the generator's methods in its own process. */
export type Load = Pick<Generator, 'connect' | 'disconnect' | 'like' | 'storm' | 'get' | 'expect' | 'reset'> & {
  pid: number
  stop(): Promise<void>
}

export async function startLoad(world: World, protocol: Protocol): Promise<Load> {
  const script = new URL('generator-process.ts', import.meta.url)
  const child = fork(script.pathname, [JSON.stringify([world, protocol])], { execArgv: ['--max-old-space-size=4096'] })
  const pending = new Map<number, Pending>()
  let lastId = 0
  const ready = new Promise((resolve, reject) => pending.set(0, { resolve, reject }))
  child.on('message', ({ id, result, error }: Answer) => {
    const call = pending.get(id)
    pending.delete(id)
    if (error) call?.reject(new Error(error))
    else call?.resolve(result)
  })
  child.on('exit', () => {
    for (const { reject } of pending.values()) reject(new Error('the load generator ended'))
  })
  await ready

  const call = (method: string) => (argument?: unknown) =>
    new Promise<never>((resolve, reject) => {
      lastId += 1
      // The generator answers with the result of the method.
      pending.set(lastId, { resolve: resolve as (result: unknown) => void, reject })
      child.send({ id: lastId, method, argument })
    })
  return {
    connect: call('connect'),
    disconnect: call('disconnect'),
    like: call('like'),
    storm: call('storm'),
    get: call('get'),
    expect: call('expect'),
    reset: call('reset'),
    pid: child.pid ?? 0,
    async stop() {
      const exited = new Promise((resolve) => child.once('exit', resolve))
      child.disconnect()
      await exited
    },
  }
}
