import type { Worker } from '../answers.ts'
import { bytes, count, plural, rate, seconds } from '../words.ts'
import { At, DataTable } from './data-table.tsx'
import { State } from './parts.tsx'

/** A process that has not written for so long is taken for dead. Seconds. */
export const SILENT = 15

type Process = Omit<Worker, 'beatAt' | 'workerIds' | 'jobsLocked'> & Partial<Pick<Worker, 'jobsLocked' | 'workerIds'>>

/** Processes of every role; with `withJobs`, the jobs that their workers hold. */
export function Processes({ processes, withJobs }: { processes: readonly Process[]; withJobs?: boolean }) {
  return (
    <DataTable
      label="Processes"
      rows={processes}
      keyOf={({ role, host, pid }) => `${role} ${host} ${pid}`}
      empty="No process has written a heartbeat. It runs without notify.processes, or has just started."
      columns={[
        { key: 'role', label: 'Process', render: ({ role, host, pid }) => `${role}, ${host}:${pid}` },
        {
          key: 'state',
          label: 'State',
          render: ({ silentSeconds }) => (
            <State mood={silentSeconds < SILENT ? 'good' : 'bad'}>
              {silentSeconds < SILENT ? 'running' : 'silent'}
            </State>
          ),
        },
        {
          key: 'silentSeconds',
          label: 'Heartbeat',
          numeric: true,
          render: ({ silentSeconds }) => seconds(silentSeconds),
        },
        {
          key: 'memoryBytes',
          label: 'Memory',
          numeric: true,
          render: ({ memoryBytes }) => (memoryBytes === null ? '–' : bytes(memoryBytes)),
        },
        {
          key: 'cpu',
          label: 'Processor',
          numeric: true,
          render: ({ figures: { cpu } }) => (cpu === undefined ? '–' : `${Math.round(cpu * 100)} %`),
        },
        {
          key: 'loop',
          label: 'Loop delay, p99',
          numeric: true,
          render: ({ figures: { loopDelayMs } }) => (loopDelayMs === undefined ? '–' : `${Math.round(loopDelayMs)} ms`),
        },
        { key: 'work', label: 'Work', render: ({ figures }) => workOf(figures) },
        ...(withJobs
          ? [
              {
                key: 'jobsLocked',
                label: 'Jobs',
                numeric: true,
                render: ({ workerIds, jobsLocked }: Process) => (workerIds?.length ? count(jobsLocked ?? 0) : '–'),
              },
            ]
          : []),
        { key: 'startedAt', label: 'Started', render: ({ startedAt }) => <At at={startedAt} /> },
      ]}
    />
  )
}

function workOf({ eventsPerSecond = 0, framesPerSecond = 0, sockets = 0 }: Process['figures']): string {
  const parts = [
    eventsPerSecond > 0 && `${rate(eventsPerSecond)} events/s`,
    sockets > 0 && plural(sockets, 'socket'),
    framesPerSecond > 0 && `${rate(framesPerSecond)} frames/s`,
  ]
  return parts.filter(Boolean).join(', ') || 'idle'
}
