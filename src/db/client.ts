import pg from 'pg'

/** Runs `work` on its own connection, which is closed afterwards. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  // Closing the connection also fails its current query.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** What runs statements: a pool, or one of its connections. */
export type Queryable = Pick<pg.ClientBase, 'query'>
