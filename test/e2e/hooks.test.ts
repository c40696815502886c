import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../support/cli.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-hooks-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const secret = 'T0ken-of-the-webhook';
let cwd = '';
let number = 0;
let server: Server;
let url = '';
let bodies: { hook: string }[];

beforeEach(async () => {
  cwd = join(root, String((number += 1)));
  mkdirSync(join(cwd, 'chroma'), { recursive: true });
  writeFileSync(join(cwd, 'chroma/a.txt'), 'one');
  bodies = [];
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      bodies.push(JSON.parse(body) as { hook: string });
      response.writeHead(request.url?.includes('broken') === true ? 500 : 200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function configure(config: object): void {
  writeFileSync(
    join(cwd, 'sync-agent.config.json'),
    JSON.stringify({ remote: 'file:./remote', host: 'host-a', ...config }),
  );
}

describe('hooks of the command line', () => {
  it('print on stderr only, so that --json is one document', async () => {
    configure({ hookBeforeBackup: 'echo from the hook; printf "\\033[2Jclear"', hookAfterBackup: url });
    const { stdout, stderr, exitCode } = await runCli(['backup', '--json'], { cwd });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ type: 'committed' });
    expect(stderr).toBe('before-backup: from the hook\nbefore-backup: \uFFFD[2Jclear\n');
    expect(bodies).toMatchObject([{ hook: 'after-backup', host: 'host-a', result: { type: 'committed' } }]);
  });

  it('are silent when all is well and --quiet asks for it, and tell of themselves with --verbose', async () => {
    configure({ hookBeforeBackup: 'echo something', hookAfterBackup: url });
    expect((await runCli(['backup', '--quiet'], { cwd })).stderr).toBe('');
    const { stderr } = await runCli(['backup', '--verbose'], { cwd });
    expect(stderr).toContain('The after-backup hook was done in');
  });

  it('that fail are warnings that name neither the command nor the URL, and the backup counts', async () => {
    configure({
      hookBeforeBackup: `test ${secret} = x`,
      hookAfterBackup: `${url}/${secret}/broken?key=${secret}`,
    });
    const { stdout, stderr, exitCode } = await runCli(['backup', '--verbose', '--debug'], { cwd });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('Backed up as snapshot');
    expect(stderr).toMatch(/^warning: The before-backup hook failed after \d+ms: it exited with 1$/m);
    expect(stderr).toContain(`: ${url} answered 500\n`);
    expect(stdout + stderr).not.toContain(secret);
  });

  it('that cannot be understood are USAGE errors that do not quote them', async () => {
    const run = await runCli(
      ['backup', '--remote', 'file:///nowhere/x', '--hook-after-backup', `https://${secret}:x`],
      {
        cwd,
      },
    );
    expect(run).toMatchObject({ exitCode: 2, stdout: '' });
    expect(run.stderr).not.toContain(secret);
    const twice = await runCli(
      ['backup', '--hook-after-backup', `https://${secret}/1`, '--hook-after-backup', `https://${secret}/2`],
      { cwd },
    );
    expect(twice).toMatchObject({ exitCode: 2 });
    configure({ hookAfterBackup: { url: `https://${secret}/x` } });
    const listed = await runCli(['backup'], { cwd });
    expect(listed).toMatchObject({ exitCode: 2 });
    expect(twice.stderr + listed.stderr).not.toContain(secret);
    configure({});
    const bad = await runCli(['backup', '--remote', 'file:///nowhere/x', '--hook-timeout', '0'], { cwd });
    expect(bad).toMatchObject({ exitCode: 2 });
    expect(bad.stderr).toContain('--hook-timeout');
  });

  it('that hang end by themselves, without the webhook holding the program up', async () => {
    server.removeAllListeners('request').on('request', () => undefined);
    configure({ hookBeforeBackup: 'sleep 600', hookAfterBackup: url, hookTimeout: '500ms' });
    const startedAt = performance.now();
    const { stderr, exitCode } = await runCli(['backup'], { cwd });
    expect(exitCode).toBe(0);
    expect(stderr.match(/was ended: it took longer than 0.5 s/g)).toHaveLength(2);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  it('that hang after the backup of an agent that stops end with its budget, and the snapshot counts', async () => {
    configure({ hookAfterBackup: `trap '' TERM INT; echo $$ >hook; sleep 600; sleep 600`, settle: '100ms' });
    const args = ['watch', '--http', 'off', '--shutdown-budget', '6s', '--hook-timeout', '5m'];
    const { child, saw, done } = startCli(args, { cwd });
    await saw(/Committed snapshot/);
    const askedAt = performance.now();
    child.kill('SIGTERM');
    const { exitCode, stderr } = await done;
    expect(exitCode).toBe(0);
    expect(stderr).toContain('all that was written is saved');
    expect(performance.now() - askedAt).toBeLessThan(8000);
    expect(() => process.kill(Number(readFileSync(join(cwd, 'hook'), 'utf8')), 0)).toThrow('ESRCH');
  });

  it.each([
    ['the final backup', '1h'],
    ['a backup that is made when the agent is stopped', '200ms'],
  ])('that hang before %s leave it its time, and all is saved', async (_, interval) => {
    configure({
      // It tells where it is when it hangs, which it does from the second backup on.
      hookBeforeBackup: `test -e seen || { touch seen; exit; }; trap '' TERM INT; echo hanging; sleep 600; sleep 600`,
      settle: '100ms',
    });
    const args = [
      'watch',
      '--http',
      'off',
      '--interval',
      interval,
      '--shutdown-budget',
      '12s',
      '--hook-timeout',
      '5m',
    ];
    const { child, saw, done } = startCli(args, { cwd });
    await saw(/Committed snapshot/);
    writeFileSync(join(cwd, 'chroma/a.txt'), 'the last that was written');
    if (interval !== '1h') await saw(/hanging/);
    const askedAt = performance.now();
    child.kill('SIGTERM');
    const { exitCode, stderr } = await done;
    expect(stderr).toContain('all that was written is saved');
    expect(stderr).toContain('hanging');
    expect(exitCode).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(12_000);
    await runCli(['restore', '--to', 'copy'], { cwd });
    expect(readFileSync(join(cwd, 'copy/a.txt'), 'utf8')).toBe('the last that was written');
  });

  it('may call sync-agent, which then runs no hooks', async () => {
    configure({
      hookAfterBackup: `echo "$HOOK_RESULT" >>calls; "$NODE" "$CLI" backup --remote "file://$PWD/mirror"`,
    });
    const { buildCli } = await import('../support/built-cli.ts');
    const { exitCode } = await runCli(['backup'], { cwd, env: { NODE: process.execPath, CLI: buildCli() } });
    expect(exitCode).toBe(0);
    expect(readFileSync(join(cwd, 'calls'), 'utf8')).toBe('committed\n');
    expect(existsSync(join(cwd, 'mirror/commits/0000000001.json'))).toBe(true);
  });

  it('before a restore that fail stop it with exit code 10, and Ctrl-C ends them with 130', async () => {
    configure({});
    await runCli(['backup'], { cwd });
    rmSync(join(cwd, 'chroma'), { recursive: true });
    configure({ hookBeforeRestore: 'exit 1' });
    const refused = await runCli(['restore'], { cwd });
    expect(refused).toMatchObject({ exitCode: 10 });
    expect(refused.stderr).toMatch(/^error: Cannot restore .*before-restore hook.*\n {2}.*--force/m);
    expect(existsSync(join(cwd, 'chroma'))).toBe(false);

    configure({ hookBeforeRestore: 'echo waiting; sleep 600', hookAfterRestore: url });
    const { child, saw, done } = startCli(['restore'], { cwd });
    await saw(/waiting/);
    child.kill('SIGINT');
    expect(await done).toMatchObject({ exitCode: 130 });
    expect(bodies).toMatchObject([{ hook: 'after-restore', error: { code: 'INTERRUPTED' } }]);
    expect(existsSync(join(cwd, 'chroma'))).toBe(false);
  });
});
