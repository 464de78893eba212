import type { Scenario } from '../harness/scenario.ts'
import { disk } from './disk.ts'
import { dispatchThroughput } from './dispatch-throughput.ts'
import { durableLikes } from './durable-likes.ts'
import { growth } from './growth.ts'
import { idle } from './idle.ts'
import { idleSockets } from './idle-sockets.ts'
import { inboxReads } from './inbox-reads.ts'
import { largeFanOut } from './large-fan-out.ts'
import { latency } from './latency.ts'
import { likeStorm } from './like-storm.ts'
import { loss } from './loss.ts'
import { openTransactions } from './open-transactions.ts'
import { queues } from './queues.ts'
import { reconnects } from './reconnects.ts'
import { startTime } from './start-time.ts'

export const scenarios: Scenario[] = [
  durableLikes,
  dispatchThroughput,
  latency,
  openTransactions,
  idleSockets,
  largeFanOut,
  likeStorm,
  inboxReads,
  reconnects,
  startTime,
  growth,
  idle,
  disk,
  loss,
  queues,
]
