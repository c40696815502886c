import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAgent } from '../../src/index.ts';
import type { DrillReport } from '../../src/index.ts';
import { chromaAvailable } from '../support/chroma-server.ts';
import { runCli, startCli } from '../support/cli.ts';
import { startAgent } from '../support/running-agent.ts';
import { fingerprintOf, unpackFixture } from '../support/fixtures.ts';
import { readDocument } from '../support/documents.ts';
import type { Fixture } from '../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-drill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const script = fileURLToPath(new URL('../../scripts/chroma-server.sh', import.meta.url));
const command = `${script} start {dir} {port}`;

const place = (dir: string): readonly string[] => [
  '--store',
  join(dir, 'store'),
  '--remote',
  `file://${dir}/remote`,
];
async function backedUp(name: string, fixture: Fixture): Promise<string> {
  const dir = join(root, name);
  unpackFixture(fixture, join(dir, 'store'));
  const agent = createAgent({ store: join(dir, 'store'), remote: `file://${dir}/remote` });
  expect(await agent.backup()).toMatchObject({ type: 'committed' });
  await agent.close();
  return dir;
}
async function drill(
  dir: string,
  args: readonly string[] = ['--server', command],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly exitCode: number | null; readonly report: DrillReport; readonly stderr: string }> {
  const { exitCode, stdout, stderr } = await runCli(['drill', '--json', ...args, ...place(dir)], {
    cwd: dir,
    env,
  });
  return {
    exitCode,
    stderr,
    report: stdout === '' ? ({} as DrillReport) : (JSON.parse(stdout) as DrillReport),
  };
}

/** A program that behaves as `chroma` does, and writes down its environment. */
function fakeChroma(path: string, body: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n[ "$2" = --help ] && exit 0\n${body}\n`);
  chmodSync(path, 0o755);
}
const real = `exec ${script} start "$3" "$7"`;
/** The processes that have this text in their command line. */
const processesWith = (text: string): readonly string[] =>
  execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(text) && !line.includes('ps -eo'));

describe.skipIf(chromaAvailable() !== undefined)('sync-agent drill, with a real server', () => {
  test.each(['chroma-0.4.24', 'chroma-0.5.5', 'chroma-0.5.23', 'chroma-0.6.3', 'chroma-1-b'] as const)(
    'passes on a store of version %s',
    async (version) => {
      const dir = await backedUp(version, version);
      const before = [fingerprintOf(join(dir, 'remote')), fingerprintOf(join(dir, 'store'))];
      const { exitCode, report } = await drill(dir);
      expect(report).toMatchObject({ type: 'passed', problems: [], server: { state: 'answered' } });
      expect(report.steps.map(({ outcome }) => outcome)).toEqual(['passed', 'passed', 'passed', 'passed']);
      expect(report.records).toBeGreaterThan(100);
      expect(exitCode).toBe(0);
      expect([fingerprintOf(join(dir, 'remote')), fingerprintOf(join(dir, 'store'))]).toEqual(before);
      expect(existsSync(join(dir, '.store.sync-agent', 'drill'))).toBe(false);
      expect(processesWith(join(dir, '.store.sync-agent'))).toEqual([]);
    },
  );

  test('a server that serves something else fails it, whatever the files are', async () => {
    const dir = await backedUp('other', 'chroma-1-b');
    const older = unpackFixture('chroma-1-a', join(dir, 'older'));
    const { exitCode, report } = await drill(dir, [
      '--server',
      `: {dir}; exec ${script} start ${older} {port}`,
    ]);
    expect(report).toMatchObject({ type: 'failed', server: { state: 'failed' }, recovery: { type: 'none' } });
    expect(report.problems.map(({ foundBy }) => foundBy)).toContain('server');
    expect(report.problems.map(({ message }) => message).join()).toMatch(
      /collection "alpha-l2" has \d+ records instead of 91/,
    );
    expect(exitCode).toBe(5);
    // Other snapshots are not tried one by one with a server that is at fault.
    const agent = createAgent({ store: join(dir, 'store'), remote: `file://${dir}/remote` });
    for (const text of ['1', '2']) {
      writeFileSync(join(dir, 'store', 'note'), text);
      await agent.backup();
    }
    const again = await agent.drill({ server: `: {dir} {port}; exit 3` });
    await agent.close();
    expect(again.recovery?.message).toMatch(
      /^the files are sound, and the server fails on snapshot \S+, too/,
    );
    const status = await runCli(['status', ...place(dir)], { cwd: root });
    expect(status.stdout).toMatch(/drilled +FAILED .*\(never passed\): The server/);
  });

  test('a repaired copy passes the server, in a rehearsal', async () => {
    const dir = await backedUp('rehearsal', 'chroma-1-b');
    // The server that the documents show.
    const shown = /`--server '(\.\/venv[^']+)'`/.exec(readDocument('docs/commands.md'))?.[1] ?? '';
    fakeChroma(join(dir, 'venv/bin/chroma'), real);
    const { exitCode, report } = await drill(dir, ['--server', shown, '--damage', 'links-zeroed']);
    expect(report).toMatchObject({
      type: 'passed',
      recovery: { type: 'repair', works: true },
      server: { state: 'answered' },
    });
    expect(exitCode).toBe(0);
  });

  test('finds chroma beside the application, and gives it nothing that leads to the store or the remote', async () => {
    const dir = await backedUp('found', 'chroma-1-b');
    const seen = join(dir, 'environment');
    fakeChroma(join(dir, 'node_modules/.bin/chroma'), `env >${seen}; pwd >>${seen}\n${real}`);
    const secrets = { AWS_SECRET_ACCESS_KEY: 'secret-1', PERSIST_DIRECTORY: join(dir, 'store'), CHROMA_API_KEY: 'secret-2', SYNC_AGENT_HTTP_TOKEN: 'secret-3-secret-3' }; // prettier-ignore
    const { report } = await drill(dir, [], secrets);
    expect(report).toMatchObject({
      type: 'passed',
      server: { state: 'answered', name: join(dir, 'node_modules/.bin/chroma') },
    });
    const environment = readFileSync(seen, 'utf8');
    expect(environment).not.toMatch(/secret-|PERSIST_DIRECTORY|SYNC_AGENT_|AWS_|CHROMA_API/);
    expect(environment).not.toContain(join(dir, 'store'));
    expect(environment).toContain('ANONYMIZED_TELEMETRY=False');
    const scratch = join(dir, '.store.sync-agent/drill/scratch');
    expect(environment).toMatch(new RegExp(`^HOME=${scratch}$`, 'm'));
    expect(environment.trim().split('\n').at(-1)).toBe(scratch);
  });

  test('a killed drill leaves no server, and what it left the next one removes', async () => {
    const dir = await backedUp('killed', 'chroma-1-b');
    const home = join(dir, '.store.sync-agent');
    fakeChroma(join(dir, 'bin/chroma'), `touch ${dir}/up; sleep 1000 & exec sh -c 'sleep 1001; :' "$3"`);
    const running = startCli(['drill', ...place(dir)], {
      cwd: dir,
      env: { PATH: `${dir}/bin${delimiter}${process.env['PATH'] ?? ''}` },
    });
    while (!existsSync(`${dir}/up`)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(processesWith(home).length).toBeGreaterThan(0);
    running.child.kill('SIGKILL');
    await running.done;
    for (let i = 0; i < 500 && processesWith(home).length > 0; i += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(processesWith(home)).toEqual([]);
    expect(readdirSync(home)).toContain('drill');
    expect((await drill(dir)).report).toMatchObject({ type: 'passed' });
    expect(readdirSync(home)).not.toContain('drill');
  });

  test('an interrupted drill ends its server, and removes its directory', async () => {
    const dir = await backedUp('interrupted', 'chroma-1-b');
    fakeChroma(
      join(dir, 'node_modules/.bin/chroma'),
      `touch ${dir}/up; sleep 1002 & exec sh -c 'sleep 1003; :' "$3"`,
    );
    const running = startCli(['drill', ...place(dir)], { cwd: dir });
    while (!existsSync(`${dir}/up`)) await new Promise((resolve) => setTimeout(resolve, 10));
    running.child.kill('SIGINT');
    expect((await running.done).exitCode).toBe(130);
    expect(processesWith(dir)).toEqual([]);
    expect(readdirSync(join(dir, '.store.sync-agent'))).not.toContain('drill');
  });

  test('a port that somebody took meanwhile is followed by another one', async () => {
    const dir = await backedUp('taken', 'chroma-1-b');
    const taken = `[ -e ${dir}/first ] || { touch ${dir}/first; echo Address 127.0.0.1:{port} is not available; exit 0; }`;
    const { report } = await drill(dir, ['--server', `${taken}; ${command}`]);
    expect(report).toMatchObject({ type: 'passed', server: { state: 'answered', boots: 1 } });
  });

  test('a server that others can reach is refused, and one that ends by itself fails the drill', async () => {
    const dir = await backedUp('open', 'chroma-1-b');
    const program = join(dir, 'open.mjs');
    writeFileSync(
      program,
      `import { createServer } from 'node:http';
       const answer = (url) => (url.endsWith('version') ? '"1.0.0"' : '{"nanosecond heartbeat":1}');
       createServer(({ url }, response) => response.end(answer(url))).listen(Number(process.argv[2]), '0.0.0.0');`,
    );
    const open = `exec ${process.execPath} ${program} {port} {dir}`;
    const hasNetwork = Object.values((await import('node:os')).networkInterfaces()).some((all) =>
      all?.some(({ internal }) => !internal),
    );
    if (hasNetwork) expect(await drill(dir, ['--server', open])).toMatchObject({ exitCode: 10 });
    const { exitCode, report } = await drill(dir, [
      '--server',
      'TOKEN=s3cret true {dir} {port}; echo no such schema; exit 3',
    ]);
    expect(report.problems[0]?.message).toContain(
      'The server "the given command" ended by itself (exit code 3) instead of serving the store; it said: no such schema',
    );
    expect(JSON.stringify(report)).not.toContain('s3cret');
    expect(exitCode).toBe(5);
  });
});

describe('sync-agent drill', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await backedUp('plain', 'chroma-1-b');
  });

  test('says that no server can be started, and why, and passes without one', async () => {
    fakeChroma(join(dir, 'bin/chroma'), '');
    writeFileSync(
      join(dir, 'bin/chroma'),
      '#!/bin/sh\necho "Error: version GLIBC_9.99 not found" >&2\nexit 1\n',
    );
    const path = `${dir}/bin${delimiter}${join(process.execPath, '..')}${delimiter}/usr/bin${delimiter}/bin`;
    const { exitCode, report } = await drill(dir, [], { PATH: path });
    expect(report).toMatchObject({
      type: 'passed',
      server: {
        state: 'none',
        why: `"${dir}/bin/chroma" cannot be run: Error: version GLIBC_9.99 not found`,
      },
    });
    expect(exitCode).toBe(0);
  });

  test('prints what each step found', async () => {
    const { stdout } = await runCli(['drill', '--server', 'off', ...place(dir)], { cwd: dir });
    expect(stdout.replaceAll(/[\d.]+m?s/g, 'T')).toMatch(
      /^Snapshot \S+ \(the newest\): chroma, 419 KiB in 25 files, 201 records\nok       list of snapshots and objects, T\nok       restore, each byte with its hash, T\nok       database, indexes and records, T\nskipped  its server: it is turned off, T\nPassed in T\n$/,
    );
    const status = await runCli(['status', ...place(dir)], { cwd: root });
    expect(status.stdout).toMatch(
      /drilled +passed (?:just now|[\d.]+s ago), snapshot \S+: 201 records, no server tried, in/,
    );
  });

  test('verify --read-data --budget goes on where the last run stopped, and says how much is covered', async () => {
    const verify = async (...args: readonly string[]) =>
      runCli(['verify', ...args, ...place(dir)], { cwd: dir });
    const first = await verify('--read-data', '--budget', '50KB');
    expect(first.stdout).toMatch(
      /^ok {2}.*\nread {6}[\d.]+ KiB in \d+ files\ncovered {3}\d\d%: .* of 25 files, the oldest (?:just now|[\d.]+s ago)\n1 snapshot verified: presence and sizes, and what was read\n$/,
    );
    const second = await verify('--read-data', '--budget', '5m');
    expect(second.stdout).toMatch(/covered {3}100%: 419 KiB of 419 KiB, 25 of 25 files/);
    expect((await verify('--budget', '5m')).exitCode).toBe(2);
    expect((await verify('--read-data', '--budget', '5')).exitCode).toBe(0);
    expect((await verify('--read-data', '--budget', '0')).exitCode).toBe(2);
    expect((await verify('--read-data', '--budget', '5x')).stderr).toContain(
      'expected a time such as 5m, or a size such as 2GiB',
    );
  });

  test('exits with 5 for damage in the remote, and with 2 for a command without {port}', async () => {
    const damaged = join(root, 'damaged');
    cpSync(join(dir, 'remote'), join(damaged, 'remote'), { recursive: true });
    rmSync(join(damaged, 'remote', 'manifest.json'));
    expect(await drill(damaged, ['--server', 'off'])).toMatchObject({ exitCode: 0 });
    writeFileSync(join(damaged, 'remote', 'manifest.json'), '{');
    expect(await drill(damaged, ['--server', 'off'])).toMatchObject({ exitCode: 5 });
    expect(await drill(damaged, ['--server', 'chroma run --path {dir}'])).toMatchObject({ exitCode: 2 });
  });

  test('watch --drill-interval drills, tells everywhere, and ends with the agent', async () => {
    const marker = join(dir, 'told');
    const agent = startAgent(
      [
        'watch',
        '--drill-interval',
        '500ms',
        '--drill-server',
        'off',
        '--hook-after-drill',
        `echo "$HOOK_NAME $HOOK_RESULT" >>${marker}`,
      ],
      {
        SYNC_AGENT_STORE: join(dir, 'store'),
        SYNC_AGENT_REMOTE: `file://${dir}/remote`,
        SYNC_AGENT_HTTP: '127.0.0.1:0',
      },
    );
    try {
      const { url } = (await agent.saw('listening')) as unknown as { url: string };
      const { msg } = await agent.saw('drilled', ({ passed }) => passed === true);
      expect(msg).toMatch(/^The drill of snapshot \S+ passed in \S+: 201 records$/);
      expect(readFileSync(marker, 'utf8')).toContain('after-drill passed\n');
      expect(await (await fetch(new URL('metrics', url))).text()).toContain('sync_agent_drill_passed 1\n');
      expect(await (await fetch(url)).text()).toMatch(/Last drill<\/dt>\s*<dd>passed/);
      rmSync(join(dir, 'remote/commits'), { recursive: true });
      expect(await agent.saw('drilled', ({ passed }) => passed === false)).toMatchObject({ level: 'error' });
      const { exitCode } = await agent.stop();
      expect(exitCode).toBe(0);
      expect(existsSync(join(dir, '.store.sync-agent/drill'))).toBe(false);
    } finally {
      agent.child.kill('SIGKILL');
    }
  });
});
