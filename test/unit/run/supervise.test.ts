import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planShutdown } from '../../../src/run/stop-request.ts';
import { live } from './fake-run.ts';
import type { Life, Script } from './fake-run.ts';

const term = (atMs: number) => ({ atMs, name: 'SIGTERM' }) as const;
const heedful = { endsAfter: { SIGTERM: 2000 }, exit: { exitCode: 0, signal: null } } as const;

describe('a supervised command', () => {
  it('is started after the restore and the schedule, is stopped before the final backup, and gives its exit code', async () => {
    const { log, result, events, endedMs } = await live({
      restore: { ms: 300 },
      command: { ...heedful, exit: { exitCode: 3, signal: null } },
      stops: [{ ms: 500 }],
      signals: [term(10_000)],
    });
    expect(log).toEqual([
      '0 restore',
      '300 restored',
      '300 start',
      '300 command started',
      '10000 signal SIGTERM',
      '10000 command SIGTERM',
      '12000 command exited 3',
      '12000 stop',
      '12500 saved',
    ]);
    expect(result).toEqual({ exitCode: 3, isSaved: true, unsavedSinceMs: null, writers: [] });
    expect(endedMs).toBe(12_500);
    expect(events).toEqual([
      { type: 'command-started', pid: 42, command: 'server' },
      { type: 'stopping', reason: 'SIGTERM' },
      { type: 'command-exited', exitCode: 3, signal: null, isExpected: true },
      { type: 'stopped', isSaved: true, unsavedSinceMs: null },
    ]);
  });

  it('that ends by itself: its backup has no time limit while it makes progress', async () => {
    const { result, backups, events } = await live({
      command: { exitsAfterMs: 1000 },
      stops: [{ ms: 600_000 }],
      progressEveryMs: 20_000,
    });
    expect(result).toEqual({ exitCode: 0, isSaved: true, unsavedSinceMs: null, writers: [] });
    expect(backups).toMatchObject([{ reason: 'shutdown', deadlineMs: Infinity, isSaved: true }]);
    expect(events.at(-2)).toEqual({ type: 'stopping', reason: 'command-exit' });
  });

  it('that ends by itself: a backup without progress is given up after the budget', async () => {
    const { result, endedMs } = await live({
      command: { exitsAfterMs: 1000 },
      stops: [{ ms: 600_000, heedsAbort: false }],
    });
    expect(result).toMatchObject({ exitCode: 0, isSaved: false });
    expect(endedMs).toBe(26_000);
  });

  it('that ends by itself and leaves a process behind: that process is asked to end, waited for, and saved', async () => {
    const { log, result } = await live({
      command: { exitsAfterMs: 1000 },
      other: { endsAfter: { SIGTERM: 300 } },
    });
    expect(log.slice(3)).toEqual([
      '0 command started',
      '1000 command exited 0',
      '1000 other SIGTERM',
      '1300 other ended',
      expect.stringMatching(/^1\d{3} stop$/) as string,
      expect.stringMatching(/^1\d{3} saved$/) as string,
    ]);
    expect(result).toMatchObject({ exitCode: 0, isSaved: true });
  });

  it('that was asked to stop and leaves a process behind: that process is asked too, and killed if it does not end', async () => {
    const { log, result, backups } = await live({ command: heedful, other: {}, signals: [term(1000)] });
    expect(log.slice(5)).toEqual([
      '1000 command SIGTERM',
      '3000 command exited 0',
      '3000 other SIGTERM',
      '16000 stop',
      '16100 saved',
      '19750 other SIGKILL',
      '19750 other ended',
      expect.stringMatching(/^19\d{3} stop$/) as string,
      expect.stringMatching(/^19\d{3} saved$/) as string,
    ]);
    expect(backups).toMatchObject([{ wasRunning: true }, { wasRunning: false }]);
    expect(result).toMatchObject({ exitCode: 0, isSaved: true });
  });

  it('that does not forward the signal: its processes are asked after a while', async () => {
    const { log } = await live({
      command: { exitsAfterMs: 30_000 },
      other: { endsAfter: { SIGTERM: 10 } },
      signals: [term(1000)],
    });
    expect(log.slice(5, 8)).toEqual(['1000 command SIGTERM', '4750 other SIGTERM', '4760 other ended']);
  });

  it('is never called saved while another program has the store open for writing', async () => {
    const { result, events } = await live({ command: { exitsAfterMs: 1000 }, writerUntilMs: 90_000 });
    expect(result).toMatchObject({
      isSaved: false,
      unsavedSinceMs: 1000,
      writers: [{ pid: 44, command: 'another' }],
    });
    expect(events.at(-1)).toMatchObject({ type: 'stopped', isSaved: false, writers: [{ pid: 44 }] });
  });

  it('is saved once more if another writer ended during the backup', async () => {
    const { result, backups } = await live({ command: { exitsAfterMs: 1000 }, writerUntilMs: 1050 });
    expect(backups).toHaveLength(2);
    expect(result).toMatchObject({ isSaved: true, writers: [] });
  });

  it.each([
    [{ exitCode: 9, signal: null }, 9],
    [{ exitCode: null, signal: 'SIGSEGV' }, 139],
  ] as const)('that crashes (%j) is saved too, and exits with %i', async (exit, exitCode) => {
    const { result, backups, events } = await live({ command: { exitsAfterMs: 1000, exit } });
    expect(result).toMatchObject({ exitCode, isSaved: true, unsavedSinceMs: null });
    expect(backups).toMatchObject([{ reason: 'command-exit' }]);
    expect(events).toContainEqual({ type: 'command-exited', ...exit, isExpected: false });
  });

  it.each([{ isSaved: false }, { rejects: true }])(
    'gives its exit code also when the final backup fails: %j',
    async (stop) => {
      const { result, events } = await live({
        command: { exitsAfterMs: 1000, exit: { exitCode: 5, signal: null } },
        stops: [{ ms: 50, ...stop }],
      });
      expect(result).toMatchObject({ exitCode: 5, isSaved: false });
      expect(events.at(-1)).toMatchObject({ type: 'stopped', isSaved: false });
    },
  );

  it('that runs too long is killed before the processes that it started, and the newest of them too', async () => {
    const { log, isOtherRunning } = await live({
      // Just before the kill, after the last look at what the command started.
      other: { startsAfterMs: 19_749, hasStoreOpen: false },
      stops: [{ ms: 3000 }, { ms: 200 }],
      signals: [term(1000)],
    });
    const killed = log.indexOf('19750 command SIGKILL');
    expect(log.slice(killed, killed + 4)).toEqual([
      '19750 command SIGKILL',
      '19750 command exited SIGKILL',
      '19750 other SIGKILL',
      '19750 other ended',
    ]);
    expect(isOtherRunning).toBe(false);
  });

  it('that runs too long is backed up while it runs, killed, and backed up again', async () => {
    const { log, result, endedMs } = await live({
      stops: [{ ms: 3000 }, { ms: 200 }],
      signals: [term(1000)],
    });
    expect(log.slice(5)).toEqual([
      '1000 command SIGTERM',
      '16000 stop',
      '19000 saved',
      '19750 command SIGKILL',
      '19750 command exited SIGKILL',
      '19750 stop',
      '19950 saved',
    ]);
    expect(result).toMatchObject({ exitCode: 137, isSaved: true, unsavedSinceMs: null });
    expect(endedMs).toBe(19_950);
  });

  it('that was killed too late for another backup counts as unsaved since the last one began', async () => {
    const { result, endedMs } = await live({
      stops: [{ ms: 500 }, { ms: 60_000 }],
      signals: [term(1000)],
    });
    expect(result).toMatchObject({ exitCode: 137, isSaved: false, unsavedSinceMs: 7 });
    expect(endedMs).toBe(25_000);
  });

  it('whose backup takes all the time is killed, and counts as unsaved since that backup began', async () => {
    // It ends as late as it may, when no time is left for another.
    const { result } = await live({ stops: [{ ms: 9000, heedsAbort: false }], signals: [term(1000)] });
    expect(result).toMatchObject({ exitCode: 137, isSaved: false, unsavedSinceMs: 16_000 });
  });

  it('gets no second Ctrl-C: the terminal has sent it already', async () => {
    const { log } = await live({
      command: { exitsAfterMs: 3000 },
      signals: [{ atMs: 1000, name: 'SIGINT', isTyped: true }],
    });
    expect(log.filter((line) => line.includes('command SIG'))).toEqual([]);
  });

  it('gets SIGTERM after a SIGINT that it ignored', async () => {
    const { log, result } = await live({
      command: heedful,
      signals: [{ atMs: 1000, name: 'SIGINT', isTyped: true }],
    });
    expect(log).toContain('16000 command SIGTERM');
    expect(result).toMatchObject({ exitCode: 0, isSaved: true });
  });

  it('gets SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH, which do nothing else', async () => {
    const names = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;
    const { log, endedMs } = await live({
      command: { exitsAfterMs: 60_000 },
      signals: names.map((name, index) => ({ atMs: 1000 + index, name })),
    });
    expect(log.filter((line) => line.includes('command SIG'))).toEqual(
      names.map((name, index) => `${1000 + index} command ${name}`),
    );
    expect(endedMs).toBe(60_100);
  });

  it('is killed at once by a second signal, and its backup is aborted', async () => {
    const { log, result, endedMs } = await live({ signals: [term(1000), term(3000)] });
    expect(log).toContain('3000 command SIGKILL');
    expect(result).toMatchObject({ exitCode: 137, isSaved: false });
    expect(endedMs).toBe(3000);
  });

  it('is not killed by a signal that came twice within a second', async () => {
    const { result } = await live({ command: heedful, signals: [term(1000), term(1900)] });
    expect(result).toMatchObject({ exitCode: 0, isSaved: true });
  });

  it('has ended one second after a second signal, whatever hangs', async () => {
    const { endedMs, result } = await live({
      command: heedful,
      stops: [{ ms: 900_000, heedsAbort: false }],
      signals: [term(1000), term(5000)],
    });
    expect(endedMs).toBe(6000);
    expect(result).toMatchObject({ exitCode: 0, isSaved: false });
  });

  it('that does not end when it is killed is not waited for', async () => {
    const { endedMs, result } = await live({
      command: { cannotBeKilled: true },
      signals: [term(1000)],
    });
    expect(endedMs).toBe(26_000);
    expect(result).toMatchObject({ exitCode: 137, isSaved: false, unsavedSinceMs: 16_000 });
  });

  it('that started too late to be asked is killed', async () => {
    const { log } = await live({ command: { spawnMs: 24_500 }, signals: [term(1000)] });
    expect(log).toContain('24500 command SIGKILL');
  });

  it('has the budget of a signal that comes during its final backup', async () => {
    const { endedMs, backups } = await live({
      command: { exitsAfterMs: 1000 },
      stops: [{ ms: 900_000 }],
      progressEveryMs: 1000,
      signals: [term(100_000)],
    });
    expect(endedMs).toBe(124_000);
    expect(backups).toHaveLength(1);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('is not started when %s ends the restore: exit code %i', async (name, exitCode) => {
    const { log, result, endedMs } = await live({
      restore: { ms: 5000 },
      signals: [{ atMs: 1000, name }],
    });
    expect(log).toEqual(['0 restore', `1000 signal ${name}`]);
    expect(result).toMatchObject({ exitCode, isSaved: true, unsavedSinceMs: null });
    expect(endedMs).toBe(1000);
  });

  it('is not started after a restore that failed', async () => {
    const { log, result } = await live({ restore: { ms: 10, fails: true } });
    expect(log).toEqual(['0 restore']);
    expect(result).toEqual({ rejected: expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }) as unknown });
  });

  it('is started at once with --no-restore', async () => {
    const { log } = await live({ restores: false, command: { exitsAfterMs: 5 } });
    expect(log[0]).toBe('0 start');
  });

  it.each([
    ['NOT_FOUND', 127],
    ['DENIED', 126],
  ] as const)('that cannot be started (%s) stops the schedule and exits with %i', async (code, exitCode) => {
    const { log, result } = await live({ command: { cannotStart: code } });
    expect(log.slice(-2)).toEqual(['0 stop', '100 saved']);
    expect(result).toMatchObject({ exitCode, failure: { code } });
  });
});

describe('every order of signals, exits, backups and ends', () => {
  it('keeps the promises', async () => {
    const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1_000_000_000);
    const runs = Number(process.env['SYNC_AGENT_TEST_SCHEDULES'] ?? 1500);
    console.log(`orders of a supervised run: seed ${seed}, ${runs} runs`);
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const life = await live(script);
        for (const complaint of complaints(script, life))
          throw new Error(`${complaint}\n${life.log.join('\n')}`);
        for (const { type } of life.events) seen.add(type);
        seen.add(`backups ${life.backups.length}`);
        if ('isSaved' in life.result) seen.add(`saved ${life.result.isSaved} ${life.result.exitCode}`);
      }),
      { seed, numRuns: runs, examples: [[plainEnd]] },
    );
    // It did go through all there is.
    expect([...seen]).toEqual(
      expect.arrayContaining([
        'backups 0',
        'backups 1',
        'backups 2',
        'saved true 0',
        'saved false 137',
        'saved true 143',
      ]),
    );
  }, 120_000);
});

/** Seldom made at random: the command ends by itself, and all is saved. */
const plainEnd: Script = {
  restores: false,
  command: { exitsAfterMs: 5 },
  stops: [{ ms: 10, isSaved: true }],
  signals: [term(20_000)],
};

/** Times that often coincide. */
const ms = fc.oneof(
  fc.constantFrom(0, 1, 999, 1000, 6000, 9000, 9600, 10_000),
  fc.integer({ min: 0, max: 15_000 }),
);
const scripts: fc.Arbitrary<Script> = fc.record(
  {
    budgetMs: fc.constantFrom(0, 1, 1000, 10_000, 25_000),
    restores: fc.boolean(),
    restore: fc.record({ ms, fails: fc.boolean(), heedsAbort: fc.boolean() }, { requiredKeys: ['ms'] }),
    startMs: ms,
    command: fc.record(
      {
        cannotStart: fc.constantFrom('NOT_FOUND', 'DENIED'),
        exitsAfterMs: ms,
        exit: fc.constantFrom(
          { exitCode: 0, signal: null },
          { exitCode: 7, signal: null },
          { exitCode: null, signal: 'SIGSEGV' },
        ),
        endsAfter: fc.record({ SIGTERM: ms, SIGINT: ms, SIGHUP: ms }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    ),
    other: fc.record(
      { exitsAfterMs: ms, endsAfter: fc.record({ SIGTERM: ms }, { requiredKeys: [] }) },
      { requiredKeys: [] },
    ),
    writerUntilMs: ms,
    progressEveryMs: fc.constantFrom(10, 1000, 30_000),
    stops: fc.array(
      fc.record(
        { ms, isSaved: fc.boolean(), rejects: fc.boolean(), heedsAbort: fc.boolean() },
        { requiredKeys: ['ms'] },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    // Whatever happens, there is an end.
    signals: fc
      .array(
        fc.record({
          atMs: ms,
          name: fc.constantFrom('SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1'),
          isTyped: fc.boolean(),
        }),
        { maxLength: 4 },
      )
      .map((signals) => [...signals, term(20_000)]),
  },
  { requiredKeys: ['signals', 'stops'] },
);

function* complaints(script: Script, life: Life): Generator<string> {
  const { log, result, backups, endedMs } = life;
  const had = (pattern: RegExp): boolean => log.some((line) => pattern.test(line));
  const timeOf = (pattern: RegExp): number =>
    Number.parseFloat(log.find((line) => pattern.test(line)) ?? 'Infinity');
  const asked = timeOf(/ signal SIG(TERM|INT|QUIT)/);
  const budget = script.budgetMs ?? 25_000;
  const isStarted = had(/ command started/);

  if (endedMs > asked + budget) yield `it took ${endedMs - asked} ms of a budget of ${budget}`;
  if (life.isCommandRunning) yield 'the command was left running';
  if (life.isOtherRunning) yield 'a process of the command was left running';
  if (life.leftOver > 0) yield 'timers or listeners were left';
  if (isStarted && script.restores !== false && !had(/ restored/)) yield 'it started before it was restored';
  if (isStarted && timeOf(/ command started/) > asked) yield 'it started after it was asked to stop';
  if (had(/ start$/) && backups.length === 0) yield 'the schedule was left running';
  if (!had(/ start$/) && backups.length > 0) yield 'it was stopped without having been started';
  const asks = log
    .filter((line) => /command SIG(TERM|INT|QUIT)/.test(line))
    .map((line) => line.split(' ').at(-1));
  if (new Set(asks).size < asks.length) yield 'the command was asked twice by the same signal';
  if (
    asked < endedMs &&
    isStarted &&
    timeOf(/ command exited/) > asked + planShutdown(budget).commandMs &&
    asks.length === 0
  )
    yield 'the command was never asked to stop';
  if (backups.length > 3) yield 'more than three backups';
  for (const { deadlineMs } of backups.slice(0, 1)) {
    if (asked < (backups[0]?.beganMs ?? 0) && deadlineMs > asked + budget)
      yield 'a backup may outlast the budget';
  }
  if ('rejected' in result) {
    if (isStarted) yield 'it rejected although the command ran';
    return;
  }
  const last = backups.at(-1);
  if (isStarted && result.isSaved && endedMs < (script.writerUntilMs ?? 0))
    yield 'it is called saved although another program has the store open';
  if (isStarted && result.isSaved && (last?.wasRunning !== false || !last.isSaved))
    yield 'it is called saved without a backup after the command had ended';
  const exit = log
    .find((line) => / command exited/.test(line))
    ?.split(' ')
    .at(-1);
  const codes: Record<string, number> = {
    SIGKILL: 137,
    SIGTERM: 143,
    SIGINT: 130,
    SIGHUP: 129,
    SIGSEGV: 139,
  };
  if (exit !== undefined && result.exitCode !== (codes[exit] ?? Number(exit)))
    yield `exit code ${result.exitCode} for ${exit}`;
  if (exit === undefined && isStarted) yield 'the command never ended';
}

describe('a store that is found damaged while the command runs', () => {
  const recoveries = ({ events }: Life): readonly string[] =>
    events.flatMap((event) =>
      event.type === 'recovery' ? [event.state === 'given-up' ? `given up: ${event.why}` : event.state] : [],
    );

  it('is recovered: the command is stopped, the store restored, and the command started again', async () => {
    const life = await live({
      command: heedful,
      damage: { atMs: [5000], recoverMs: 500 },
      signals: [term(20_000)],
    });
    expect(life.log.slice(2, 9).map((line) => line.replace(/^\d+ /, ''))).toEqual([
      'start',
      'command started',
      'damage found',
      'command SIGTERM',
      'command exited 0',
      'recover',
      'recovered',
    ]);
    expect(life.log[9]).toMatch(/command started$/);
    expect(recoveries(life)).toEqual(['began', 'done']);
    expect(life.result).toMatchObject({ exitCode: 0, isSaved: true });
    expect(life.leftOver).toBe(0);
  });

  it('is not restored before all that the command started has ended, by force if need be', async () => {
    const life = await live({
      command: { endsAfter: { SIGTERM: 100 } },
      other: {},
      damage: { atMs: [5000] },
      signals: [term(60_000)],
    });
    expect(life.log.some((line) => line.endsWith('other SIGKILL'))).toBe(true);
    expect(life.log.filter((line) => /recover/.test(line)).map((line) => line.replace(/^\d+ /, ''))).toEqual([
      'recover',
      'recovered',
    ]);
    const [killed = '', recovered = ''] = life.log.filter((line) => /other ended|recovered/.test(line));
    expect(killed).toContain('other ended');
    expect(recovered).toContain('recovered');
  });

  it('is never restored under a program that somebody else runs', async () => {
    const life = await live({
      command: heedful,
      damage: { atMs: [5000] },
      writerUntilMs: 15_000,
      signals: [term(30_000)],
    });
    expect(recoveries(life)).toEqual([
      'given up: pid 44 (another), which the application did not start, has the store open',
    ]);
    expect(life.log.filter((line) => /recover|command/.test(line))[1]).toBe('30000 command SIGTERM');
  });

  it('is given up after three rounds, and the command runs on', async () => {
    const life = await live({
      command: heedful,
      damage: { atMs: [5000, 20_000, 40_000, 60_000, 80_000] },
      signals: [term(100_000)],
    });
    expect(recoveries(life)).toEqual([
      ...Array.from({ length: 3 }, () => ['began', 'done']).flat(),
      'given up: it was damaged again after 3 recoveries',
      'given up: it was damaged again after 3 recoveries',
    ]);
    expect(life.log.filter((line) => line.endsWith('command started'))).toHaveLength(4);
    expect(life.result).toMatchObject({ exitCode: 0 });
  });

  it('that cannot be restored has its command again', async () => {
    const life = await live({
      command: heedful,
      damage: { atMs: [5000], fails: true },
      signals: [term(20_000)],
    });
    expect(recoveries(life)).toEqual(['began', 'given up: Cannot reach it']);
    expect(life.log.filter((line) => line.endsWith('command started'))).toHaveLength(2);
  });

  it('gives way to a request to stop', async () => {
    const life = await live({
      command: { endsAfter: { SIGTERM: 4000 }, exit: { exitCode: 0, signal: null } },
      damage: { atMs: [5000] },
      signals: [term(6000)],
    });
    expect(life.log.some((line) => /recover/.test(line))).toBe(false);
    expect(life.result).toMatchObject({ exitCode: 0, isSaved: true });
    expect(life.leftOver).toBe(0);
  });
});
