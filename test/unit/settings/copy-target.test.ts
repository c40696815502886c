import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { copyCommand } from '../../../src/cli/commands/remote/copy.ts';
import type { Invocation } from '../../../src/cli/commands/command.ts';
import { createFlags } from '../../../src/cli/flags.ts';
import { copyTargetNamed } from '../../../src/settings/copy-target.ts';
import { fastTmp } from '../../support/host.ts';

const cwd = mkdtempSync(join(fastTmp, 'sync-agent-copy-target-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
const write = (name: string, content: unknown): void =>
  writeFileSync(join(cwd, name), JSON.stringify(content));

describe('the second remote', () => {
  it('is a URL as it stands, with the connection of the first', async () => {
    expect(await copyTargetNamed('s3://bucket/prefix', cwd)).toBe('s3://bucket/prefix');
  });

  it('is what a config file says: its own connection and retention, and nothing else', async () => {
    write('offsite.json', {
      remote: 's3://other/app',
      s3: { endpoint: 'https://host', region: 'auto' },
      keepLast: 7,
      keepWithin: '2d',
      grace: '0s',
      store: './elsewhere',
      interval: '5m',
    });
    expect(await copyTargetNamed('./offsite.json', cwd)).toEqual({
      remote: 's3://other/app',
      s3: { endpoint: 'https://host', region: 'auto' },
      history: undefined,
      keepLast: 7,
      keepWithinMs: 172_800_000,
      graceMs: 0,
    });
  });

  it('has to be named', async () => {
    write('empty.json', {});
    await expect(copyTargetNamed('./empty.json', cwd)).rejects.toMatchObject({ code: 'USAGE' });
    await expect(copyTargetNamed('./none.json', cwd)).rejects.toMatchObject({ code: 'USAGE' });
    const invocation = { flags: createFlags({}), config: {} } as unknown as Invocation;
    await expect(copyCommand.run(invocation)).rejects.toMatchObject({
      code: 'USAGE',
      remedy: expect.stringContaining('Add --to') as string,
    });
  });
});
