import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findStoreUsers } from '../../../src/stores/capture/in-use.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { makeHost } from '../../support/host.ts';

describe.skipIf(process.platform !== 'linux')('a backup of a Chroma store that two servers have open', () => {
  it.each([1, 2])('is made, and tells their pids if there are more than one: %i', async (servers) => {
    const host = await makeHost({
      remote: createMemoryRemote({ now: Date.now }),
      ports: { findStoreUsers: (store) => findStoreUsers(store) },
    });
    unpackFixture('chroma-1-a', host.store);
    const script = join(host.root, 'server.cjs');
    const sqlite = JSON.stringify(createRequire(import.meta.url).resolve('better-sqlite3'));
    await writeFile(
      script,
      `const db = new (require(${sqlite}))(process.argv[2]); db.prepare('select 1 from collections').get();
       process.send('ready'); setInterval(() => undefined, 1000);`,
    );
    const children = Array.from({ length: servers }, () =>
      fork(script, [join(host.store, 'chroma.sqlite3')], { execArgv: [] }),
    );
    try {
      await Promise.all(children.map((child) => once(child, 'message')));
      expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
      const told = host.events
        .filter((event) => event.type === 'warning' && event.code === 'BUSY')
        .map((event) => (event.type === 'warning' ? event.message : ''));
      expect(told).toHaveLength(servers === 1 ? 0 : 1);
      for (const { pid } of servers === 1 ? [] : children) expect(told[0]).toContain(`pid ${pid} (`);
    } finally {
      for (const child of children) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await host.remove();
    }
  });
});
