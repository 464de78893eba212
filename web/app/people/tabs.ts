export const personTabs = ['followers', 'following', 'friends'] as const
export type PersonTab = (typeof personTabs)[number]
