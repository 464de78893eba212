/**
 * For missed targets: what costs most according to the profile, by scenario. `BENCH_PROFILE=<folder> npm run bench -- <id>` makes
 * profiles. Review these texts whenever the figures change.
 */
export const inTheWay: Record<string, string> = {
  P1: 'HTTP itself, and the generator, which takes as much processor time for a like as the api does. Of the api’s time 18 % is writing answers, 3 % collecting garbage, and nothing else above 2 %; the statement that writes 400 likes costs 0.04 ms each.',
  P2: 'PostgreSQL, with 0.09 to 0.11 of 0.15 to 0.18 ms: the notification and its seven indexes first (0.03 to 0.04 ms), then the sources, two lines of the delivery log, acknowledging, reading the log for two consumers, and the counters. In the worker, writing and reading arrays as text. 15,000 a second would leave 0.13 ms for everything, the receiving sockets among it.',
  P3: 'Two transactions follow each other on the way, that of the action and that of the batch, and a frame is read from the database after the second. BullMQ alone has its job in Redis before the answer and loses it when the api is killed in between (LOSS); with an outbox of its own the usual stack takes longer than Ravenpost.',
  P4: 'Old versions of rows, which PostgreSQL cannot prune until the transaction ends: of the 2,000 inboxes, each changed many times a second, and of notifications that are acknowledged. In two minutes beside the reader a notification’s CPU rose from 0.19 to 0.35 ms, round by round, and fell again when it ended; beside the writer it was 0.25 to 0.31. The log itself has none. The machine’s own changes between rounds are as large: an earlier run reached 85 and 92 %.',
  P6: 'Of the memory, collected garbage that has not been given back: the heap of the worker stays where it is. Of critical events behind a backlog, the batch that is under way when they come: half of them pass in 20 to 30 ms; batches of 500 instead of 1,000 events bring the 99th percentile to 90 ms and take 5 to 10 % of P2.',
  P7: 'One api process answers in the order in which requests come: 10,000 likes in a second are more than its processor’s second, and what others ask waits among them.',
  P8: 'The disk: pages outside PostgreSQL’s 128 MB of shared buffers, and a checkpoint after the generator’s 10,000,000 rows. By indexes alone half of the answers take 2 to 3.5 ms, the way over HTTP among it.',
}
