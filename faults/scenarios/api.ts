import { call } from '../load/http.ts'
import type { Scenario } from '../scenario.ts'
import { allReady } from '../system/role-process.ts'
import { SECOND, sleep } from '../wait.ts'

/** An api process that dies at the worst moment; never before the other is back, as an orchestrator sees to. */
export const api: Scenario[] = [
  {
    name: 'api-kill-before-wake-up',
    what: 'kill -9 of an api right after it has answered a like, before its wake-up is sent',
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
        // Wake-ups linger for a few milliseconds after the commit; this does not.
        await victim.kill()
        load.likes.set(pair, outcome === 'ok' ? 'exists' : 'uncertain')
        await sleep(random.next() * SECOND)
      }
    },
  },
  {
    name: 'api-kill-repeatedly',
    what: 'kill -9 of an api drawn at random, in the middle of whatever it does, as soon as both are up',
    async disturb({ system, random, quick, expect }) {
      for (let kills = 0; kills < (quick ? 3 : 10); kills += 1) {
        if (!(await allReady(system.of('api'), 60 * SECOND))) return expect(false, 'an api did not come back')
        await random.pick(system.of('api')).kill()
        await sleep((1 + random.next()) * SECOND)
      }
    },
  },
]
