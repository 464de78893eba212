import type { World } from '../world.ts'
import { Generator, type Protocol } from './generator.ts'

/** Runs a Generator in its own process. Each message names one of its methods. */
type Message = { id: number; method: string; argument: unknown }

const [world, protocol]: [World, Protocol] = JSON.parse(process.argv[2] ?? '[]')
const generator = new Generator(world, protocol)

process.on('message', async ({ id, method, argument }: Message) => {
  try {
    const run: unknown = Reflect.get(generator, method)
    if (typeof run !== 'function') throw new Error(`the generator has no method ${method}`)
    process.send?.({ id, result: await run.call(generator, argument) })
  } catch (error) {
    process.send?.({ id, error: String(error) })
  }
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0 })
