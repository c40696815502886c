import type { DaemonStatus, RecordedEvent } from '../../src/api/daemon-status.ts';
import type { DiskFacts } from '../../src/web/disk-facts.ts';
import type { AgentView } from '../../src/web/routes.ts';
import type { SnapshotSummary } from '../../src/engine/history/history.ts';
import { sampleCosts } from './sample-events.ts';

export const noon = Date.UTC(2026, 10, 21, 12);
export const minute = 60_000;
const hour = 60 * minute;

/** A snapshot as it stands in the log of the remote, `ageMs` old at noon. */
export function sampleSnapshot(ageMs: number, fields: Partial<SnapshotSummary> = {}): SnapshotSummary {
  const createdAt = new Date(noon - ageMs).toISOString();
  return {
    generation: 1,
    id: `${createdAt.replaceAll(':', '-')}-1a2b3c4d`,
    parent: null,
    createdAt,
    host: 'web-1',
    bytes: 50 * 1024 * 1024,
    records: 12_345,
    ageMs,
    pin: undefined,
    isTip: false,
    ...fields,
  };
}

/** A store that grew, with one restart in between. */
const snapshots = Array.from({ length: 24 }, (_, index) => {
  const ageMs = (23 - index) * hour * (index < 9 ? 1.6 : 1) + 4 * minute;
  const grown = 30 + index * 1.3 - (index > 14 ? 9 : 0);
  return sampleSnapshot(ageMs, {
    generation: index + 1,
    bytes: Math.round(grown * 1024 * 1024),
    records: 9000 + index * 310 - (index > 14 ? 1500 : 0),
    isTip: index === 23,
  });
});
const newest = snapshots[23] ?? sampleSnapshot(0);

const older = snapshots[20] ?? newest;
const longAgo = {
  lastSnapshot: { id: older.id, createdAtMs: Date.parse(older.createdAt) },
  lastSuccessAtMs: Date.parse(older.createdAt) + 3000,
  history: { asOfMs: noon - 190 * minute, snapshots: snapshots.slice(0, 21) },
};

const at = (agoMs: number, event: RecordedEvent['event']): RecordedEvent => ({ atMs: noon - agoMs, event });

export const sampleHistory: RecordedEvent[] = [
  at(9 * hour, { type: 'started', intervalMs: hour, cron: null }),
  at(9 * hour - 20, { type: 'watching', by: 'events' }),
  at(9 * hour - 90, { type: 'listening', url: 'http://127.0.0.1:8477/' }),
  at(9 * hour - 900, { type: 'command-started', pid: 4712, command: 'node server.mjs' }),
  at(62 * minute, { type: 'changed', source: 'events', atMs: noon - 62 * minute }),
  at(62 * minute, { type: 'scheduled', atMs: noon - 4 * minute, reason: 'change' }),
  at(4 * minute + 3200, { type: 'operation-started', operation: 'backup', reason: 'change' }),
  at(4 * minute + 2900, {
    type: 'captured',
    bytes: newest.bytes,
    attempts: 1,
    heldMs: 18,
    longestHoldMs: 11,
  }),
  at(4 * minute + 800, { type: 'committed', id: newest.id, generation: 24 }),
  at(4 * minute, {
    type: 'operation-finished',
    operation: 'backup',
    outcome: 'committed',
    snapshot: {
      id: newest.id,
      bytes: newest.bytes,
      records: newest.records,
      uploadBytes: 1_500_000,
      heldMs: 18,
      longestHoldMs: 11,
    },
    ...sampleCosts,
  }),
];

/** An agent at noon whose store was saved four minutes ago. */
export const savedStatus: DaemonStatus = {
  version: '0.1.0',
  pid: 4711,
  host: 'web-1',
  startedAtMs: noon - 9 * hour,
  store: '/srv/app/chroma',
  remote: 's3://my-bucket/my-app',
  state: 'idle',
  intervalMs: hour,
  cron: null,
  detection: 'events',
  dirtySinceMs: null,
  nextBackupAtMs: null,
  nextBackupReason: null,
  running: null,
  lease: null,
  lastSnapshot: { id: newest.id, createdAtMs: noon - 4 * minute },
  lastBackupPhases: [
    { phase: 'capture', tookMs: 230, waitedMs: 230, bytes: 52_428_800 },
    { phase: 'validate', tookMs: 800, waitedMs: 20, bytes: 52_428_800 },
    { phase: 'upload', tookMs: 61_900, waitedMs: 61_100, bytes: 52_428_800 },
    { phase: 'commit', tookMs: 65, waitedMs: 65, bytes: 0 },
  ],
  lastSuccessAtMs: noon - 4 * minute,
  lastError: null,
  failures: 0,
  check: null,
  copy: {
    to: 's3://offsite/app',
    lastSuccessAtMs: noon - 5 * minute,
    snapshot: newest.id,
    failures: 2,
    lastError: {
      code: 'REMOTE_UNREACHABLE',
      message: 'the offsite remote does not answer',
      remedy: null,
      atMs: noon - minute,
    },
  },
  log: null,
  isOverdue: false,
  history: { asOfMs: noon - 4 * minute, snapshots },
  tips: [newest.id],
  recentEvents: sampleHistory,
};

export const sampleFacts: DiskFacts = {
  atMs: noon,
  disk: { freeBytes: 31 * 1024 ** 3, totalBytes: 80 * 1024 ** 3 },
  store: { bytes: 53 * 1024 ** 2, files: 17 },
  usersMemoryBytes: 187 * 1024 ** 2,
  drill: {
    last: {
      atMs: noon - 26 * hour,
      passed: true,
      snapshot: newest.id,
      chosen: 'newest',
      records: 12_345,
      problems: [],
      recovery: null,
      server: 'answered',
      tookMs: 8400,
    },
    passedAtMs: noon - 26 * hour,
    drilled: { [newest.id]: noon - 26 * hour },
  },
  operations: [
    {
      id: '0a1b2c3d4e5f',
      operation: 'protect',
      name: 'recreate',
      state: 'open',
      beganAt: new Date(noon - 3 * hour).toISOString(),
      endedAt: null,
      tookMs: null,
      host: 'web-1',
      user: 'app',
      pid: 4711,
      program: 'reindex.mjs',
      before: newest.id,
      after: null,
      outcome: null,
    },
  ],
  rollbackCopies: [{ name: '2026-11-20T08-15-00.000Z', bytes: 41 * 1024 ** 2, files: 17 }],
};

const [tipA, tipB] = [
  sampleSnapshot(35 * minute, { host: 'web-2', isTip: true, generation: 25, records: 15_700 }),
  sampleSnapshot(4 * minute + 1, { host: 'web-1', isTip: true, generation: 26, records: 14_900 }),
];

const failedAt = (agoMs: number): RecordedEvent =>
  at(agoMs, {
    type: 'operation-failed',
    operation: 'backup',
    error: {
      code: 'REMOTE_UNREACHABLE',
      message: 'Cannot list "s3://my-bucket/my-app": connect ECONNREFUSED 10.0.0.7:9000',
      remedy: 'Check the network and --s3-endpoint; the server answers once "sync-agent doctor" is content',
    },
    retryAtMs: noon - agoMs + 15 * minute,
    ...sampleCosts,
  });

/** A status for each summary that the page can show. */
const damagedCheck: NonNullable<DaemonStatus['check']> = {
  atMs: noon - 3 * minute,
  isSound: false,
  damage: ['Collection "docs": its <index> is missing'],
  findings: 2,
  server: null,
  tookMs: 1500,
};

/** A store whose writes were saved behind its snapshot two seconds ago. */
const log: NonNullable<DaemonStatus['log']> = {
  intervalMs: 2000,
  snapshot: newest.id,
  upTo: 4571,
  segments: 17,
  operations: 250,
  bytes: 400_000,
  lastShippedAtMs: noon - 90_000,
  lagMs: 2100,
  unsavedSinceMs: null,
  broken: null,
  trouble: null,
  gaps: 0,
  requests: sampleCosts.requests,
};
const loggedStatus: DaemonStatus = {
  ...savedStatus,
  state: 'waiting',
  intervalMs: 24 * hour,
  dirtySinceMs: noon - 3 * minute,
  nextBackupAtMs: noon + 23 * hour,
  nextBackupReason: 'change',
  log,
};

export const sampleStatuses = {
  logged: loggedStatus,
  logging: { ...loggedStatus, log: { ...log, unsavedSinceMs: noon - 1500 } },
  logBroken: {
    ...loggedStatus,
    log: {
      ...log,
      unsavedSinceMs: noon - 40_000,
      broken: { why: 'operation 12 was purged', sinceMs: noon - 30_000 },
      gaps: 2,
    },
  },
  logOverdue: {
    ...loggedStatus,
    isOverdue: true,
    log: {
      ...log,
      unsavedSinceMs: noon - 7 * minute,
      trouble: {
        code: 'REMOTE_UNREACHABLE',
        message: 'Cannot put: timed out',
        atMs: noon - 1000,
        sinceMs: noon - 7 * minute,
      },
    },
  },
  saved: savedStatus,
  unsaved: {
    ...savedStatus,
    state: 'waiting',
    dirtySinceMs: noon - 12 * minute,
    nextBackupAtMs: noon + 3 * minute,
    nextBackupReason: 'change',
    lastSuccessAtMs: noon - 57 * minute,
  },
  saving: {
    ...savedStatus,
    state: 'working',
    dirtySinceMs: noon - 58 * minute,
    running: {
      operation: 'backup',
      reason: 'change',
      startedAtMs: noon - 4000,
      phase: 'upload',
      done: 21 * 1024 ** 2,
      total: 34 * 1024 ** 2,
    },
  },
  failing: {
    ...savedStatus,
    state: 'waiting',
    dirtySinceMs: noon - 130 * minute,
    nextBackupAtMs: noon + 3 * minute,
    nextBackupReason: 'retry',
    ...longAgo,
    isOverdue: true,
    failures: 3,
    lastError: {
      code: 'REMOTE_UNREACHABLE',
      message: 'Cannot list "s3://my-bucket/my-app": connect ECONNREFUSED 10.0.0.7:9000',
      remedy: 'Check the network and --s3-endpoint; the server answers once "sync-agent doctor" is content',
      atMs: noon - 12 * minute,
      operation: 'backup',
    },
    recentEvents: [
      ...sampleHistory.slice(0, 6),
      failedAt(70 * minute),
      failedAt(40 * minute),
      failedAt(12 * minute),
    ],
  },
  overdue: {
    ...savedStatus,
    state: 'waiting',
    dirtySinceMs: noon - 130 * minute,
    nextBackupAtMs: noon + 3 * minute,
    ...longAgo,
    isOverdue: true,
  },
  diverged: {
    ...savedStatus,
    history: { asOfMs: noon - minute, snapshots: [...snapshots.slice(0, 20), tipA, tipB] },
    tips: [tipA.id, tipB.id],
    lastSnapshot: { id: tipB.id, createdAtMs: noon - 4 * minute },
    recentEvents: [...sampleHistory, at(minute, { type: 'diverged', tips: [tipA.id, tipB.id] })],
  },
  starting: {
    ...savedStatus,
    state: 'starting',
    running: {
      operation: 'restore',
      reason: null,
      startedAtMs: noon - 9000,
      phase: 'download',
      done: 12 * 1024 ** 2,
      total: 60 * 1024 ** 2,
    },
    lastSnapshot: null,
    lastSuccessAtMs: null,
    startedAtMs: noon - 9000,
    recentEvents: [],
  },
  fresh: {
    ...savedStatus,
    lastSnapshot: null,
    lastSuccessAtMs: null,
    history: { asOfMs: noon, snapshots: [] },
    tips: [],
    startedAtMs: noon - 2 * minute,
    recentEvents: sampleHistory.slice(0, 1),
  },
  damaged: { ...savedStatus, check: damagedCheck },
  serverFails: {
    ...savedStatus,
    check: {
      ...damagedCheck,
      isSound: true,
      damage: [],
      server: { isReachable: true, heartbeatMs: 4, slowestMs: 1200, problems: ['Cannot count "docs"'] },
    },
  },
  stopped: { ...savedStatus, state: 'stopped', dirtySinceMs: noon - 2 * minute },
} satisfies Record<string, DaemonStatus>;

export interface FakeAgentView extends AgentView {
  readonly set: (status: DaemonStatus) => void;
  readonly tell: (event: RecordedEvent['event']) => void;
  readonly calls: { notify: number; flush: number; look: number; listeners: number };
}

/** What a server tells about, without a daemon. */
export function fakeAgentView(overrides: Partial<AgentView> = {}): FakeAgentView {
  let status: DaemonStatus = savedStatus;
  const listeners = new Set<(event: RecordedEvent) => void>();
  const calls = { notify: 0, flush: 0, look: 0, listeners: 0 };
  return {
    calls,
    set: (next) => {
      status = next;
    },
    tell: (event) => {
      for (const listener of listeners) listener({ atMs: noon, event });
    },
    status: () => status,
    notify: async () => {
      calls.notify += 1;
    },
    flush: async () => {
      calls.flush += 1;
      return { type: 'flushed' };
    },
    subscribe: (listener) => {
      listeners.add(listener);
      calls.listeners = listeners.size;
      return () => {
        listeners.delete(listener);
        calls.listeners = listeners.size;
      };
    },
    look: async () => {
      calls.look += 1;
      return sampleFacts;
    },
    ...overrides,
  };
}
