import { existsSync } from 'node:fs'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { StartError } from '../../base/process/start-error.ts'
import { refuseCommonPassword } from '../passwords/common-passwords.ts'
import { type FirstPassword, firstPasswordFile, makeFirstPassword } from '../passwords/first-password.ts'
import { hashPassword } from '../passwords/passwords.ts'

const ADMIN = { username: 'admin', email: 'admin@localhost' }

/** How the admin can sign in, for the lines printed at startup. */
export type AdminAccess = 'given' | 'given before' | 'made before' | 'nobody' | FirstPassword

/**
 * Creates the user `admin` on a database without users, with ADMIN_PASSWORD. On our embedded database, generates a
 * password instead, which the admin has to change at the first sign-in.
 * @throws {StartError} when ADMIN_PASSWORD would be used and is a common password
 */
export async function ensureAdmin(app: App, isTerminal = process.stdout.isTTY === true): Promise<AdminAccess> {
  const { pool, config } = app
  const { rows } = await pool.query<{ empty: boolean; admins: boolean }>(
    `select not exists (select from social.users) as empty,
       exists (select from social.users where role = 'admin' and deleted_at is null) as admins`,
  )
  if (!rows[0]?.empty) return accessOf(app, rows[0]?.admins ?? false)
  if (config.adminPassword !== undefined) {
    await refuseCommonPassword(config.adminPassword, ADMIN).catch(() => {
      throw new StartError('ADMIN_PASSWORD is a common password: choose one that is harder to guess')
    })
    await insertAdmin(pool, config.adminPassword, false)
    return 'given'
  }
  if (!config.embedded) return 'nobody'
  const first = await makeFirstPassword(config, isTerminal)
  return (await insertAdmin(pool, first.password, true)) ? first : 'made before'
}

function accessOf({ config, log }: App, admins: boolean): AdminAccess {
  if (admins) return config.adminPassword === undefined && config.embedded ? 'made before' : 'given before'
  if (config.adminPassword !== undefined)
    log.warn(
      'ADMIN_PASSWORD makes no admin, because the database has users: npm run user:grant-admin -- <username> makes one of them an admin',
    )
  return 'nobody'
}

/**
 * Several processes may start together and find no users. The unique username lets only one of them create the admin.
 */
async function insertAdmin(pool: pg.Pool, password: string, changeRequired: boolean): Promise<boolean> {
  const { rowCount } = await pool.query(
    `with u as (
       insert into social.users (username, email, password_hash, display_name, role, password_change_required)
       values ($1, $2, $3, 'Admin', 'admin', $4)
       on conflict do nothing returning id
     ), i as (
       insert into notify.inbox (user_id) select id from u
     )
     select notify.write_audit(null, 'user.change_role', 'user:' || id, null, '{"role": "admin"}') from u`,
    [ADMIN.username, ADMIN.email, await hashPassword(password), changeRequired],
  )
  return rowCount === 1
}

/** The startup line about the admin. It contains a generated password only on a terminal. */
export function adminLine({ config }: App, access: AdminAccess): string {
  if (access === 'given') return 'admin, with ADMIN_PASSWORD'
  if (access === 'given before') return 'with the password of the first start, or a later one'
  if (access === 'nobody') return 'nobody: npm run user:grant-admin -- <username> makes one'
  const change = 'to be changed by PUT /auth/password'
  if (access !== 'made before')
    return 'inFile' in access.shown
      ? `admin, password in ${access.shown.inFile}, ${change}`
      : `admin, password ${access.password} (shown only this once), ${change}`
  const file = firstPasswordFile(config)
  return existsSync(file)
    ? `admin, password in ${file}, ${change}`
    : 'admin, with the password of the first start, or a later one'
}

/** @returns false when there is no such user */
export async function grantAdmin(pool: pg.Pool, username: string): Promise<boolean> {
  return changeRole(pool, `role = 'admin'`, `deleted_at is null`, username)
}

/** Takes any role away, at once, because calls for staff look up the role. @returns false when nobody with a role has this name */
export async function revokeRole(pool: pg.Pool, username: string): Promise<boolean> {
  return changeRole(pool, `role = 'user'`, `role <> 'user' and deleted_at is null`, username)
}

/** Changes the role and writes an audit row, whose actor is the database role. */
async function changeRole(pool: pg.Pool, set: string, where: string, username: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `with former as (
       select id, role from social.users where username = $1 and ${where} for update
     ), changed as (
       update social.users u set ${set} from former where u.id = former.id returning u.id, former.role as before, u.role as after
     )
     select notify.write_audit(null, 'user.change_role', 'user:' || id, jsonb_build_object('role', before), jsonb_build_object('role', after))
     from changed`,
    [username],
  )
  return rowCount === 1
}

export type Candidate = { id: string; email: string | null; verified: boolean; createdAt: Date }

/** The user whom a grant would affect. The operator checks it first, because usernames can look alike. */
export async function findCandidate(pool: pg.Pool, username: string): Promise<Candidate | undefined> {
  const { rows } = await pool.query<Candidate>(
    `select id, email, email_verified_at is not null as verified, created_at as "createdAt" from social.users
     where username = $1 and deleted_at is null`,
    [username],
  )
  return rows[0]
}
