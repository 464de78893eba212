import { hash, type Options, verify } from '@node-rs/argon2'

/** OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. The library's default is argon2id. */
const argon2id: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** In PHC string format. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, argon2id)
}

/** Costs the same when there is no such user (`stored` undefined), so that the time of an answer tells nobody who has an account. */
export async function passwordFits(stored: string | undefined, password: string): Promise<boolean> {
  const fits = await verify(stored ?? (await nobodysHash), password)
  return fits && stored !== undefined
}

const nobodysHash = hashPassword('nobody has this password')
