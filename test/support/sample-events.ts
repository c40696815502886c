import type { AgentEvent, DaemonEvent, OperationCosts } from '../../src/platform/events.ts';

export const sampleCosts: OperationCosts = {
  durationMs: 3200,
  requests: {
    put: 4,
    get: 1,
    head: 0,
    list: 1,
    copy: 6,
    remove: 0,
    bytesSent: 1_500_000,
    bytesReceived: 900,
  },
  retries: 2,
};

type Event = DaemonEvent | AgentEvent;
type Samples = { readonly [T in Event['type']]: Extract<Event, { type: T }> };

const noon = Date.UTC(2026, 10, 21, 12);

/** One of each event there is: a new type does not compile before it has its sample. */
export const sampleEvents: Samples = {
  started: { type: 'started', intervalMs: 600_000, cron: null },
  watching: { type: 'watching', by: 'polling', why: 'the file system tells of no changes' },
  changed: { type: 'changed', source: 'events', atMs: noon },
  scheduled: { type: 'scheduled', atMs: noon, reason: 'change' },
  'operation-started': { type: 'operation-started', operation: 'backup', reason: 'change' },
  'operation-finished': {
    type: 'operation-finished',
    operation: 'backup',
    outcome: 'committed',
    snapshot: {
      id: '2026-11-21T12-00-00.000Z-12345678',
      bytes: 52_428_800,
      records: 12_345,
      uploadBytes: 1_500_000,
      heldMs: 18,
      longestHoldMs: 11,
    },
    ...sampleCosts,
  },
  'operation-failed': {
    type: 'operation-failed',
    operation: 'backup',
    error: {
      code: 'REMOTE_UNREACHABLE',
      message: 'Cannot put "commits/7.json": connect ECONNREFUSED',
      remedy: 'Check the endpoint and the network',
    },
    retryAtMs: noon + 30_000,
    ...sampleCosts,
  },
  checked: {
    type: 'checked',
    isSound: false,
    damage: ['Collection "docs": its index is missing'],
    findings: 1,
    isUnchanged: false,
    server: { isReachable: true, heartbeatMs: 4, slowestMs: 120, problems: [] },
    tookMs: 1500,
  },
  drilled: {
    type: 'drilled',
    passed: false,
    snapshot: '2026-11-21T12-00-00.000Z-12345678',
    records: 0,
    problems: ['object "history/2026-11-21T12-00-00.000Z-12345678/chroma.sqlite3" is missing'],
    recovery: 'a restore goes back to snapshot 2026-11-21T11-00-00.000Z-12345678, which passed',
    server: 'none',
    tookMs: 2300,
  },
  copied: {
    type: 'copied',
    to: 's3://offsite/app',
    newest: '2026-11-21T12-00-00.000Z-12345678',
    snapshots: ['2026-11-21T12-00-00.000Z-12345678'],
    sentBytes: 1_234_567,
    tookMs: 2300,
  },
  listening: { type: 'listening', url: 'http://127.0.0.1:8477/' },
  'command-started': { type: 'command-started', pid: 4711, command: 'node server.mjs' },
  'command-exited': { type: 'command-exited', exitCode: null, signal: 'SIGKILL', isExpected: false },
  recovery: { type: 'recovery', state: 'given-up', round: 1, why: 'pid 7 (another) has the store open' },
  stopping: { type: 'stopping', reason: 'SIGTERM' },
  stopped: { type: 'stopped', isSaved: false, unsavedSinceMs: noon },
  lease: { type: 'lease', state: 'lost', epoch: 3, to: 'web-2' },
  hook: {
    type: 'hook',
    hook: 'after-backup',
    outcome: 'failed',
    durationMs: 120,
    message: 'it ended with exit code 7',
  },
  'hook-output': { type: 'hook-output', hook: 'after-backup', line: 'curl: (7) Failed to connect' },
  'log-following': {
    type: 'log-following',
    snapshot: '2026-11-21T12-00-00.000Z-12345678',
    upTo: 4321,
    requests: sampleCosts.requests,
  },
  'log-pending': { type: 'log-pending', sinceMs: noon },
  'log-shipped': {
    type: 'log-shipped',
    snapshot: '2026-11-21T12-00-00.000Z-12345678',
    segment: 17,
    operations: 250,
    bytes: 400_000,
    upTo: 4571,
    lagMs: 2100,
    unsavedSinceMs: null,
    requests: sampleCosts.requests,
  },
  'log-broken': {
    type: 'log-broken',
    why: 'the operations from 12 to 14 were purged before they were read',
    isGap: true,
  },
  'log-trouble': {
    type: 'log-trouble',
    code: 'REMOTE_UNREACHABLE',
    message: 'Cannot put: timed out',
    sinceMs: noon,
    requests: sampleCosts.requests,
  },
  phase: { type: 'phase', phase: 'upload' },
  phases: {
    type: 'phases',
    phases: [
      { phase: 'capture', tookMs: 230, waitedMs: 230, bytes: 52_428_800 },
      { phase: 'upload', tookMs: 1900, waitedMs: 1100, bytes: 52_428_800 },
    ],
  },
  progress: { type: 'progress', phase: 'upload', done: 1024, total: 4096 },
  warning: { type: 'warning', code: 'NOTICE', message: 'The disk is nearly full', remedy: 'Make room' },
  captured: { type: 'captured', bytes: 52_428_800, attempts: 1, heldMs: 18, longestHoldMs: 11 },
  committed: { type: 'committed', id: '2026-11-21T12-00-00.000Z-12345678', generation: 7 },
  rotated: { type: 'rotated', snapshots: ['2026-11-01T12-00-00.000Z-12345678'], objects: 12 },
  restored: { type: 'restored', id: '2026-11-21T12-00-00.000Z-12345678', store: '/srv/app/chroma' },
  diverged: {
    type: 'diverged',
    tips: ['2026-11-21T12-00-00.000Z-12345678', '2026-11-21T12-00-01.000Z-87654321'],
  },
  retry: {
    type: 'retry',
    operation: 'put',
    key: 'commits/7.json',
    attempt: 1,
    delayMs: 400,
    message: 'Cannot put "commits/7.json": it timed out',
  },
};
