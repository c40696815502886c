import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { findStoreUsers } from '../../../src/stores/capture/in-use.ts';

const store = mkdtempSync(join(tmpdir(), 'sync-agent-in-use-'));
afterAll(() => rmSync(store, { recursive: true, force: true }));

it.skipIf(process.platform !== 'linux')(
  'who works in the home of the agent is no user of the store around it',
  async () => {
    const own = join(store, '.sync-agent', 'drill', 'restored');
    mkdirSync(own, { recursive: true });
    for (const path of [join(own, 'chroma.sqlite3'), join(store, '.sync-agent-not'), join(store, 'a')])
      writeFileSync(path, 'x');
    const script =
      "require('fs').openSync(process.argv[1], 'r+'); console.log('open'); setInterval(() => 0, 1000)";
    const usersOf = async (path: string): Promise<readonly number[]> => {
      const child = spawn(process.execPath, ['-e', script, path]);
      await once(child.stdout, 'data');
      const users = (await findStoreUsers(store)).filter(({ pid }) => pid === child.pid);
      child.kill('SIGKILL');
      return users.map(() => 1);
    };
    expect(await usersOf(join(own, 'chroma.sqlite3'))).toEqual([]);
    expect(await usersOf(join(store, '.sync-agent-not'))).toEqual([1]);
    expect(await usersOf(join(store, 'a'))).toEqual([1]);
  },
);
