import type { Scenario } from './scenario.ts'

export const p6: Scenario = {
  id: 'P6',
  title: 'Fan-out of one event to 1,000,000 followers',
  async run({ say }) {
    say('  needs a later issue: fan-outs to followers')
    return {
      rows: [],
      targets: [{ text: '≥ 30,000 recipients a second, memory flat', reached: '–', met: null }],
      notes: ['Needs a later issue: there are no fan-outs to followers yet. `bench/generate.ts` makes the followers.'],
    }
  },
}
