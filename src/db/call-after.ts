import type pg from 'pg'
import type { App } from '../app.ts'

/** A batch's statement for a coalescer, which calls the dispatchers after its commit. */
export function callAfter<Item, Result>(
  app: App,
  statement: (pool: pg.Pool, items: Item[]) => Promise<Result[]>,
): (items: Item[]) => Promise<Result[]> {
  return async (items) => {
    const results = await statement(app.pool, items)
    app.wakeUps.eventsAppended()
    return results
  }
}
