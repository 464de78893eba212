/**
 * Joins the rows of a table to each row before it by an index look-up of its own (`offset 0` keeps the planner from another
 * join): where it believes that an inbox holds few rows, it reads whole inboxes for a batch that needs one row of each.
 */
export function oneByOne(lookup: string, name: string): string {
  return `cross join lateral (select ${name}.* from ${lookup} offset 0) ${name}`
}
