import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { adapterNamed, detectAdapter } from '../../src/stores/find-adapter.ts';
import { plainKind } from '../../src/stores/find-kind.ts';
import type { StoreKind } from '../../src/stores/store-kind.ts';
import { fingerprintOf } from '../support/fixtures.ts';

export interface StoreSubject {
  readonly kind: StoreKind;
  /** Makes a store in the empty directory `dir`, without anything that SQLite would fold; resolves to its records. */
  make(dir: string): Promise<number>;
  /** Writes one more record, as the store's program does. Absent for a store whose writers lock files: test/e2e has them in processes of their own. */
  write?(dir: string): Promise<void>;
  /** Each way to damage a store, by name. */
  readonly damages: Readonly<Record<string, (dir: string) => Promise<void>>>;
}

/** One test per promise of `StoreKind`, on a kind that is in the registry. */
export function describeStore({ kind, make, write, damages }: StoreSubject): void {
  describe(`a store of the kind ${kind.name}`, { timeout: 120_000 }, () => {
    let root: string;
    let store: string;
    let records: number;
    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), 'sync-agent-store-'));
      store = join(root, 'store');
      await mkdir(store);
      records = await make(store);
    });
    afterEach(() => rm(root, { recursive: true, force: true }));

    const agentOf = (settings: Partial<AgentSettings> = {}): Agent =>
      createAgent({ store, remote: pathToFileURL(join(root, 'remote')).href, ...settings });
    const capture = async (): Promise<string> => {
      const image = await mkdtemp(join(root, 'image-'));
      await adapterNamed(kind.name).capture(store, image, {
        timeoutMs: 20_000,
        unfinishedMs: 500,
        clock: systemClock,
        fs: nodeFileSystem,
      });
      return image;
    };

    it('is recognised, and an empty directory is none', async () => {
      expect((await detectAdapter(store)).name).toBe(kind.name);
      await mkdir(join(root, 'empty'));
      expect((await detectAdapter(join(root, 'empty'))).name).toBe(plainKind.name);
    });

    it('is captured as it is, while nobody writes', async () => {
      expect(await contentOf(await capture())).toEqual(await contentOf(store));
    });

    if (write !== undefined) {
      it('is captured sound, while somebody writes', async () => {
        const writer = { isWriting: true };
        const writing = (async () => {
          while (writer.isWriting) {
            await write(store);
            // Whoever writes more often than timestamps move keeps a plain directory from ever being captured.
            await systemClock.sleep(100);
          }
        })();
        try {
          const { damage, statistics } = await adapterNamed(kind.name).inspect(await capture(), {
            level: 'full',
          });
          expect(damage).toEqual([]);
          expect(statistics.records).toBeGreaterThanOrEqual(records);
        } finally {
          writer.isWriting = false;
          await writing;
        }
      });
    }

    it('is judged sound and counted, and no byte of it changes', async () => {
      const before = fingerprintOf(store);
      for (const level of ['quick', 'full', 'proven'] as const) {
        const report = await adapterNamed(kind.name).inspect(store, { level });
        expect(report).toMatchObject({ damage: [], statistics: { records } });
      }
      expect(fingerprintOf(store)).toEqual(before);
    });

    it('ends its inspection when it is told to', async () => {
      const signal = AbortSignal.abort();
      await expect(adapterNamed(kind.name).inspect(store, { level: 'full', signal })).rejects.toMatchObject({
        code: 'INTERRUPTED',
      });
    });

    it('holds something that can be lost, once it has a record', async () => {
      expect(records).toBeGreaterThan(0);
      expect(await adapterNamed(kind.name).holdsNothing(store, {})).toBe(false);
    });

    it.each(Object.keys(damages))('is not backed up over a sound snapshot: %s', async (name) => {
      const agent = agentOf();
      await agent.backup();
      await damages[name]?.(store);
      // REFUSED: it looks like a store of a simpler kind.
      await expect(agent.backup()).rejects.toMatchObject({
        code: expect.stringMatching(/^(STORE_CORRUPT|REFUSED)$/) as string,
      });
      expect(await agent.list()).toHaveLength(1);
    });

    it('comes back as it was', async () => {
      const before = await contentOf(store);
      const agent = agentOf();
      expect(await agent.backup()).toMatchObject({ type: 'committed', records });
      expect(await agent.backup()).toMatchObject({ type: 'unchanged' });
      await rm(store, { recursive: true });
      expect(await agent.restore()).toMatchObject({ type: 'restored' });
      expect(await contentOf(store)).toEqual(before);
      expect((await agent.show('latest')).adapter).toBe(kind.name);
      expect(await agent.verify({ readData: true })).toMatchObject({ isSound: true });
    });

    it('is not backed up without what it needs', async () => {
      for (const { path } of kind.needs ?? [])
        await expect(agentOf({ exclude: [`/${path}`] }).backup()).rejects.toMatchObject({ code: 'USAGE' });
      await writeFile(join(store, 'app.log'), 'a line');
      expect(await agentOf({ exclude: ['*.log'] }).backup()).toMatchObject({ type: 'committed', records });
    });
  });
}

/** Files by their paths, as text that a failed test can show. */
async function contentOf(dir: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(
      files
        .toSorted()
        .map(async (file) => [file.slice(dir.length), (await readFile(file)).toString('base64')] as const),
    ),
  );
}
