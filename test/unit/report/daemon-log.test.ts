/* eslint-disable no-control-regex -- what terminals are told */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { describeEvent } from '../../../src/report/daemon-events.ts';
import { createDaemonLog, defaultLogFormat } from '../../../src/report/daemon-log.ts';
import type { DaemonLogOptions } from '../../../src/report/daemon-log.ts';
import { sampleEvents } from '../../support/sample-events.ts';

const noon = Date.UTC(2026, 10, 21, 12);
const events = Object.values(sampleEvents);

function record(options: Partial<DaemonLogOptions> = {}) {
  const lines: string[] = [];
  const time = { now: noon };
  const stream = { write: (text: string) => lines.push(...text.trimEnd().split('\n')) };
  const log = createDaemonLog({ format: 'json', level: 'debug', stream, now: () => time.now, ...options });
  const documents = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, time, documents };
}

describe('a sentence', () => {
  it.each(events)('of $type is one readable line', (event) => {
    const { sentence } = describeEvent(event);
    expect(sentence).toMatch(/^[A-Z][^\n\u0000-\u001F]{4,}[^.\s]$/);
    expect(sentence).not.toMatch(/undefined|NaN|null|\[object/);
  });

  it('of each type is another one', () => {
    expect(new Set(events.map((event) => describeEvent(event).sentence)).size).toBe(events.length);
  });

  it('says of a backup what it took and what it cost the writers', () => {
    expect(describeEvent(sampleEvents['operation-finished'])).toEqual({
      level: 'info',
      sentence:
        'Backup ended after 3.2s: committed 2026-11-21T12-00-00.000Z-12345678, 50.0 MiB, 12,345 records, ' +
        '1.4 MiB uploaded, writers held back 18ms',
    });
  });

  it.each([
    [600_000, null, 'within 10m'],
    [600_000, '30 3 * * *', 'within 10m and at "30 3 * * *"'],
    [0, '30 3 * * *', 'at "30 3 * * *"'],
    [0, null, 'when it stops'],
  ])('of a start with interval %d and fixed times %s says %s', (intervalMs, cron, when) => {
    expect(describeEvent({ type: 'started', intervalMs, cron }).sentence).toBe(
      `Started; changes are backed up ${when}`,
    );
  });

  it('of a failure says when it is tried again, and what to do', () => {
    expect(describeEvent(sampleEvents['operation-failed'])).toEqual({
      level: 'error',
      sentence:
        'Backup failed: Cannot put "commits/7.json": connect ECONNREFUSED; tried again at 2026-11-21 12:00:30Z. ' +
        'Check the endpoint and the network',
    });
  });

  it('carries no control characters of those whom it quotes', () => {
    const { sentence } = describeEvent({ type: 'warning', code: 'NOTICE', message: 'a\u001B[2Jb\r\nc' });
    expect(sentence).toBe('a\uFFFD[2Jb c');
  });

  it('survives times that are none', () => {
    for (const atMs of [Number.NaN, Infinity, 9e15]) {
      expect(describeEvent({ type: 'scheduled', atMs, reason: null }).sentence).toContain('an unknown time');
    }
  });

  it('of what goes on all the time is for debugging, unless it fails', () => {
    const list = { ...sampleEvents['operation-started'], operation: 'list' as const };
    expect(describeEvent(list).level).toBe('debug');
    expect(describeEvent({ ...sampleEvents['operation-failed'], operation: 'list' }).level).toBe('error');
  });
});

describe('JSON lines', () => {
  it('carry the whole event, a level, a time and the sentence', () => {
    const { log, documents } = record();
    for (const event of events) log.emit(event);
    expect(documents()).toEqual(
      events.map((event) => ({
        level: describeEvent(event).level,
        time: '2026-11-21T12:00:00.000Z',
        ...event,
        msg: describeEvent(event).sentence,
      })),
    );
  });

  it('hold no credential that an event quotes', () => {
    const { log, lines } = record();
    log.emit({
      ...sampleEvents.retry,
      message: 'GET https://b.example/k?X-Amz-Signature=deadbeefdeadbeef timed out',
    });
    log.emit({ ...sampleEvents['command-started'], command: 'app --password=deadbeefdeadbeef' });
    expect(lines.join('\n')).not.toContain('deadbeef');
    expect(lines).toHaveLength(2);
  });

  it('leave out what is below the level', () => {
    const { log, documents } = record({ level: 'warn' });
    for (const event of events) log.emit(event);
    expect(new Set(documents().map(({ level }) => level))).toEqual(new Set(['warn', 'error']));
  });
});

describe('progress', () => {
  it('is told now and then, and at once in a new phase', () => {
    const { log, documents, time } = record();
    for (let done = 0; done < 300; done += 1) {
      log.emit({ type: 'progress', phase: 'upload', done, total: 300 });
      time.now += 100;
    }
    log.emit({ type: 'progress', phase: 'publish', done: 1, total: 2 });
    expect(documents().map(({ phase, done }) => [phase, done])).toEqual([
      ['upload', 0],
      ['upload', 100],
      ['upload', 200],
      ['publish', 1],
    ]);
  });

  it('is not told at the usual level', () => {
    const { log, lines } = record({ level: 'info' });
    log.emit(sampleEvents.progress);
    expect(lines).toEqual([]);
  });
});

describe('text lines', () => {
  it('are a time, a mark for trouble, and a sentence', () => {
    const { log, lines } = record({ format: 'text', level: 'info' });
    log.emit(sampleEvents.stopping);
    log.emit(sampleEvents.warning);
    log.emit(sampleEvents.stopped);
    log.emit(sampleEvents.phase);
    expect(lines).toEqual([
      '12:00:00Z  Stopping: SIGTERM',
      '12:00:00Z  warning: The disk is nearly full. Make room',
      '12:00:00Z  error: Stopped with unsaved changes: what was written since 2026-11-21 12:00:00Z',
    ]);
  });

  it('hold no credential', () => {
    const { log, lines } = record({ format: 'text' });
    log.emit({ ...sampleEvents.warning, message: 'Authorization: Bearer deadbeefdeadbeef' });
    expect(lines.join('\n')).toContain('[redacted]');
    expect(lines.join('\n')).not.toContain('deadbeef');
  });
});

it('people at a terminal get text, everything else JSON', () => {
  expect(defaultLogFormat({ isTTY: true, write: () => true })).toBe('text');
  expect(defaultLogFormat({ write: () => true })).toBe('json');
});

describe('a stream that breaks', () => {
  it('on a full disk costs a line, not the process, and not the lines after it', () => {
    const lines: string[] = [];
    let isFull = true;
    const write = (text: string) => {
      if (isFull) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return lines.push(text);
    };
    const { emit } = createDaemonLog({ format: 'text', level: 'info', stream: { write } });
    emit(sampleEvents.stopping);
    isFull = false;
    emit(sampleEvents.stopping);
    expect(lines).toHaveLength(1);
  });

  it.each(['text', 'json'] as const)('because its reader went does not end the agent: %s', async (format) => {
    const program = `
      import { createDaemonLog } from './src/report/daemon-log.ts';
      const log = createDaemonLog({ format: '${format}', level: 'info', stream: process.stderr });
      log.emit({ type: 'stopping', reason: 'first' });
      process.stdin.once('data', () => {
        for (let i = 0; i < 100; i += 1) log.emit({ type: 'stopping', reason: 'later' });
        setTimeout(() => { console.log('alive'); process.exit(0); }, 50);
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program]);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await once(child.stderr, 'data');
    child.stderr.destroy();
    await once(child.stderr, 'close');
    child.stdin.write('go\n');
    const [exitCode] = (await once(child, 'close')) as [number | null];
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: 'alive\n' });
  });
});
