import type { ConditionName, Rule } from './rule.ts'

/**
 * A rule as one SQL condition over `social.users u` and `notify.inbox i`, never null. Adds its parameters to `values`, whose first
 * ones belong to the caller.
 */
export function compileRule(rule: Rule, values: unknown[]): string {
  if ('all' in rule) return joined(rule.all, 'and', values)
  if ('any' in rule) return joined(rule.any, 'or', values)
  if ('not' in rule) return `not ${compileRule(rule.not, values)}`
  const [[name, value] = []] = Object.entries(rule)
  values.push(value)
  return `(${conditions[name as ConditionName](`$${values.length}`)})`
}

function joined(rules: Rule[], operator: 'and' | 'or', values: unknown[]): string {
  return `(${rules.map((each) => compileRule(each, values)).join(` ${operator} `)})`
}

const usedSince = (seconds: string) =>
  `exists (select from social.sessions s where s.user_id = u.id and s.last_used_at > now() - make_interval(secs => ${seconds}::float8))`

/** SQL for each comparison, with a placeholder for the value. */
const conditions: Record<ConditionName, (value: string) => string> = {
  role: (value) => `u.role = ${value}::text`,
  createdAfter: (value) => `u.created_at > ${value}::timestamptz`,
  createdBefore: (value) => `u.created_at < ${value}::timestamptz`,
  activeWithin: usedSince,
  inactiveFor: (value) => `u.created_at <= now() - make_interval(secs => ${value}::float8) and not ${usedSince(value)}`,
  follows: (value) =>
    `exists (select from social.follows f where f.follower_id = u.id and f.followee_id = ${value}::bigint)`,
  followedBy: (value) =>
    `exists (select from social.follows f where f.follower_id = ${value}::bigint and f.followee_id = u.id)`,
  subscribedTo: (value) =>
    `exists (select from social.bells b where b.author_id = ${value}::bigint and b.user_id = u.id)`,
  hasChannel: (value) => `${value}::text = 'inApp' or ${value}::text = any(i.reachable_by)`,
  locale: (value) =>
    `coalesce(lower(u.locale) = lower(${value}::text) or starts_with(lower(u.locale), lower(${value}::text) || '-'), false)`,
  ids: (value) => `u.id = any(${value}::bigint[])`,
  externalIds: (value) => `coalesce(u.external_id = any(${value}::text[]), false)`,
}
