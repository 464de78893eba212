/**
 * Where a target is missed: what the profile says is in the way, by scenario. Profiles are made by
 * `BENCH_PROFILE=<folder> npm run bench -- <id>`; to be looked at again whenever the figures move.
 */
export const inTheWay: Record<string, string> = {}
