import type { Protocol } from '../load/generator.ts'
import type { Root } from '../machine/cost.ts'
import type { Machine } from '../machine/machine.ts'
import type { Started } from '../machine/process.ts'
import type { World } from '../world.ts'

export type Part = 'api' | 'worker' | 'push'

/** A stack that can be measured. Each start gets a fresh copy of a database that holds the world. */
export type Stack = {
  name: string
  protocol: Protocol
  start(machine: Machine, world: World, parts: Part[]): Promise<Running>
}

export type Running = {
  databaseUrl: string
  /** By part; a part may be started again. */
  parts: Map<string, Started>
  restart(part: Part): Promise<void>
  urlOf(part: Part): string
  /** Everything whose CPU time this stack costs: its processes, PostgreSQL, Redis. */
  roots: Root[]
  /** Dispatching stands still until the returned function is called. */
  hold(): Promise<() => Promise<void>>
  /** The likes of these posts as the api would have committed them, with their events or jobs. */
  fill(firstPost: number, lastPost: number): Promise<void>
  counts(): Promise<{ likes: number; notifications: number }>
  stop(): Promise<void>
}
