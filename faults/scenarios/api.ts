import { call } from '../load/http.ts'
import type { Scenario } from '../scenario.ts'
import { allReady } from '../system/role-process.ts'
import { SECOND, sleep } from '../wait.ts'

/** Kills an api process at the worst moment, but never before the other one is back, as an orchestrator ensures. */
export const api: Scenario[] = [
  {
    name: 'api-kill-before-wake-up',
    what: 'kill -9 of an api directly after it answered a like and before it sends the wake-up',
    quick: true,
    async disturb({ system, world, load, random, quick, expect }) {
      for (let kills = 0; kills < (quick ? 2 : 8); kills += 1) {
        if (!(await allReady(system.of('api'), 60 * SECOND))) return expect(false, 'an api did not come back')
        const victim = random.pick(system.of('api'))
        const [post, member] = [random.pick(world.posts), random.pick(world.members)]
        const pair = `${post}:${member.id}`
        if (load.likes.has(pair)) continue
        load.likes.set(pair, 'busy')
        const { outcome } = await call(victim.port, 'POST', `/posts/${post}/like`, member.token)
        // Faster than a wake-up, which is sent some milliseconds after the commit.
        await victim.kill()
        load.likes.set(pair, outcome === 'ok' ? 'exists' : 'uncertain')
        await sleep(random.next() * SECOND)
      }
    },
  },
  {
    name: 'api-kill-repeatedly',
    what: 'kill -9 of a random api at a random moment, again as soon as both are ready',
    async disturb({ system, random, quick, expect }) {
      for (let kills = 0; kills < (quick ? 3 : 10); kills += 1) {
        if (!(await allReady(system.of('api'), 60 * SECOND))) return expect(false, 'an api did not come back')
        await random.pick(system.of('api')).kill()
        await sleep((1 + random.next()) * SECOND)
      }
    },
  },
]
