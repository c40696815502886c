import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Operations } from '../../../src/api/operations.ts';
import { openDaemon } from '../../../src/library/open-daemon.ts';
import { whenAborted } from '../../../src/platform/abort-signals.ts';
import { interrupted } from '../../../src/platform/errors.ts';
import type { AgentEvent, DaemonEvent } from '../../../src/platform/events.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-daemon-'));
  await mkdir(join(root, 'store'));
  await writeFile(join(root, 'store/a'), 'one');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const http = { host: '127.0.0.1', port: 0, isPortFixed: false, token: undefined };

it.each([
  ['without a page', {}],
  ['with a page', { http }],
])(
  'a start whose signal aborts is given up, %s',
  async (_, settings) => {
    const events: (AgentEvent | DaemonEvent)[] = [];
    /** The answer never comes; the call ends by its signal. */
    const localStatus: Operations['localStatus'] = async (options) => {
      const signal = options?.signal ?? AbortSignal.timeout(0);
      aborter.abort(new Error('enough'));
      await whenAborted(signal);
      throw interrupted('Looking', signal.reason);
    };
    const aborter = new AbortController();
    const daemon = await openDaemon(
      { store: join(root, 'store'), remote: `file://${join(root, 'remote')}`, ...settings },
      {
        command: 'test',
        operationsFor: () => ({ localStatus }) as Operations,
        emit: (event) => events.push(event),
      },
    );
    try {
      await expect(daemon.start({ signal: aborter.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(events.some(({ type }) => type === 'started')).toBe(false);
      expect(events.some(({ type }) => type === 'listening')).toBe('http' in settings);
    } finally {
      await daemon.close();
    }
  },
  10_000,
);

it.each([
  [{}, 3_600_000, null],
  [{ continuous: {} }, 24 * 3_600_000, 2000],
  [{ continuous: { intervalMs: 500 }, intervalMs: 60_000 }, 60_000, 500],
])(
  'snapshots are made every hour, and every day behind which each write is saved: %j',
  async (settings, intervalMs, continuousMs) => {
    const daemon = await openDaemon(
      { store: join(root, 'store'), remote: `file://${join(root, 'remote')}`, ...settings },
      { command: 'test', operationsFor: () => ({}) as Operations, emit: () => undefined },
    );
    expect(daemon.status().intervalMs).toBe(intervalMs);
    expect(daemon.status().log?.intervalMs ?? null).toBe(continuousMs);
    await daemon.close();
  },
);
