import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openAnyS3 } from '../support/any-s3.ts';
import { startBuiltCli } from '../support/built-cli.ts';

it('the published command line sends and gets what takes many parts and ranges', async () => {
  const s3 = await openAnyS3();
  const root = await mkdtemp(join(tmpdir(), 'sync-agent-published-'));
  const store = join(root, 'store');
  const run = async (...args: string[]): Promise<void> => {
    const remote = `s3://${s3.bucket}/published`;
    const { exitCode, stdout, stderr } = await startBuiltCli(
      [...args, '--store', store, '--remote', remote],
      s3.env,
    ).done;
    expect(exitCode, stdout + stderr).toBe(0);
  };
  try {
    const contents = [randomBytes(40 * 1024 * 1024 + 1), randomBytes(9 * 1024 * 1024)];
    await mkdir(store);
    for (const [index, content] of contents.entries()) await writeFile(join(store, `file-${index}`), content);
    await run('backup');
    await run('verify', '--read-data');
    await rm(store, { recursive: true });
    await run('restore');
    for (const [index, content] of contents.entries()) {
      expect((await readFile(join(store, `file-${index}`))).equals(content)).toBe(true);
    }
  } finally {
    await s3.close();
    await rm(root, { recursive: true, force: true });
  }
});
