import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writePlan } from '../../../../src/cli/init/write-plan.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sync-agent-write-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it('writes nothing at all if one of the files was changed since it was read', async () => {
  writeFileSync(join(dir, 'b'), 'somebody was here');
  const writes = [
    { path: join(dir, 'a'), before: undefined, after: 'a' },
    { path: join(dir, 'b'), before: 'as it was', after: 'b' },
  ];
  await expect(writePlan(writes)).rejects.toMatchObject({ code: 'BUSY' });
  expect(readdirSync(dir)).toEqual(['b']);
  expect(readFileSync(join(dir, 'b'), 'utf8')).toBe('somebody was here');
});

it('leaves nothing behind when a file cannot be put in place', async () => {
  const missing = join(dir, 'no-such-directory/a');
  await expect(writePlan([{ path: missing, before: undefined, after: 'a' }])).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining(missing) as string,
  });
  expect(readdirSync(dir)).toEqual([]);
});
