import type { Protocol } from '../load/generator.ts'
import type { Root } from '../machine/cost.ts'
import type { Machine } from '../machine/machine.ts'
import type { Started } from '../machine/process.ts'
import type { World } from '../world.ts'

export type Part = 'api' | 'worker' | 'push'

/** A stack to measure. Each start gets a fresh copy of a database that contains the world. */
export type Stack = {
  name: string
  protocol: Protocol
  start(machine: Machine, world: World, parts: Part[]): Promise<Running>
}

export type Running = {
  databaseUrl: string
  /** Processes by part. A part may be restarted. */
  parts: Map<string, Started>
  restart(part: Part): Promise<void>
  urlOf(part: Part): string
  /** All processes whose CPU time counts for this stack: its own, PostgreSQL, Redis. */
  roots: Root[]
  /** Stops dispatching until the returned function is called. */
  hold(): Promise<() => Promise<void>>
  /** Inserts the likes of these posts as the api would have committed them, with their events or jobs. */
  fill(firstPost: number, lastPost: number): Promise<void>
  counts(): Promise<{ likes: number; notifications: number }>
  stop(): Promise<void>
}
