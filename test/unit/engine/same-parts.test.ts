import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupOptions } from '../../../src/engine/backup/backup.ts';
import { historyKey } from '../../../src/formats/plain/keys.ts';
import type { Manifest } from '../../../src/log/manifest.ts';
import { createS3Remote } from '../../../src/remotes/s3/s3-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { startS3Server, type S3Server } from '../../support/s3-server.ts';

const MiB = 1024 * 1024;
const partBytes = 5 * MiB;

/** Beside `partBytes`, what a backup sends of its own: less than this. */
const aside = 100_000;

let server: S3Server;
let remote: Remote;
let hosts: Host[];
let content: Buffer;
beforeEach(async () => {
  server = await startS3Server();
  server.createBucket('bucket');
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  remote = createS3Remote({
    bucket: 'bucket',
    prefix: 'ä b',
    endpoint,
    credentials,
    partSizeBytes: partBytes,
  });
  hosts = [];
  content = randomBytes(3 * partBytes + 1000);
});
afterEach(async () => {
  for (const each of hosts) await each.remove();
  await remote.close();
  await server.close();
});

async function host(options: Partial<HostOptions> = {}): Promise<Host> {
  const made = await makeHost({ remote, ...options, settings: { maxShrink: 1, ...options.settings } });

  hosts.push(made);
  return made;
}

/** Writes the content with other bytes at `at`. */
async function change(on: Host, at: number): Promise<void> {
  content.writeUInt32LE((content.readUInt32LE(at) + 1) % 2 ** 32, at);
  await mkdir(on.store, { recursive: true });
  await writeFile(join(on.store, 'large'), content);
}

interface Backup {
  readonly id: string;
  readonly sent: number;
  readonly uploadBytes: number;
  readonly reuseBytes: number;
}

async function backUp(on: Host, options: BackupOptions = {}): Promise<Backup> {
  const { bytesSent } = on.agent.counts();
  const result = await on.agent.backup(options);
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  const { id, uploadBytes, reuseBytes } = result;
  return { id, uploadBytes, reuseBytes, sent: on.agent.counts().bytesSent - bytesSent };
}

async function expectRestored(): Promise<void> {
  const elsewhere = await host();
  await elsewhere.agent.restore();
  expect((await readFile(join(elsewhere.store, 'large'))).equals(content)).toBe(true);
}

const partsOf = (manifest: Manifest): number | undefined =>
  manifest.files.find(({ path }) => path === 'large')?.parts?.sha256.length;

describe('a large file of which a part changed', () => {
  it('has only that part sent, and is whole in its snapshot', async () => {
    const a = await host();
    await a.write({ small: 'x' });
    await change(a, 0);
    const first = await backUp(a);
    expect(first.sent).toBeGreaterThan(content.byteLength);
    await change(a, partBytes);
    const { sent, uploadBytes, reuseBytes } = await backUp(a);
    expect(sent).toBeGreaterThan(partBytes);
    expect(sent).toBeLessThan(partBytes + aside);
    expect({ uploadBytes, reuseBytes }).toEqual({
      uploadBytes: partBytes,
      reuseBytes: content.byteLength - partBytes + 1,
    });
    await expectRestored();
  });

  it('is compared with the snapshot that was restored, on whatever host, whoever sent its parts', async () => {
    const a = await host();
    await change(a, 0);
    await backUp(a);
    await change(a, partBytes);
    await backUp(a);
    const b = await host();
    await b.agent.restore();
    await change(b, 2 * partBytes);
    expect((await backUp(b)).sent).toBeLessThan(partBytes + aside);
    await expectRestored();
  });

  it.each(['copy', 'linked'] as const)(
    'is known part by part after backups in which it is equal, history %s',
    async (history) => {
      const a = await host({ settings: { history } });
      await change(a, 0);
      await backUp(a);
      for (const text of ['1', '2']) {
        await a.write({ small: text });
        const { id } = await backUp(a);
        expect(partsOf(await a.agent.show(id))).toBe(4);
      }
      await change(a, partBytes);
      expect((await backUp(a)).sent).toBeLessThan(partBytes + aside);
      await expectRestored();
    },
  );

  it('that grows or shrinks has what is new sent', async () => {
    const a = await host();
    await change(a, 0);
    await backUp(a);
    content = Buffer.concat([content, randomBytes(partBytes)]);
    await change(a, content.byteLength - 4);
    expect((await backUp(a)).sent).toBeLessThan(2 * partBytes + aside);
    await expectRestored();
    content = content.subarray(0, 2 * partBytes + 17);
    await writeFile(join(a.store, 'large'), content);
    expect((await backUp(a)).sent).toBeLessThan(aside);
    await expectRestored();
  });

  it('is sent whole if the object of the snapshot before is gone or cut, or on demand', async () => {
    const a = await host();
    await change(a, 0);
    let { id } = await backUp(a);
    await remote.remove([historyKey(id, 'large')]);
    await change(a, partBytes);
    ({ id } = await backUp(a));
    await expectRestored();
    await remote.put(historyKey(id, 'large'), {
      size: 10,
      open: async function* () {
        yield Buffer.alloc(10);
      },
    });
    await change(a, partBytes);
    expect((await backUp(a)).sent).toBeGreaterThan(content.byteLength);
    await expectRestored();
    await change(a, partBytes);
    const asked = await backUp(a, { force: true });
    expect(asked.sent).toBeGreaterThan(content.byteLength);
    expect(asked.uploadBytes).toBe(content.byteLength);
    await expectRestored();
  });

  it('is sent whole after a snapshot that says nothing of parts, and known from then on', async () => {
    const other = createS3Remote({
      bucket: 'bucket',
      prefix: 'ä b',
      endpoint: server.endpoint,
      credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
      partSizeBytes: 20 * MiB,
    });
    const a = await host({ remote: other });
    await change(a, 0);
    await backUp(a);
    const b = await host();
    await b.agent.restore();
    await change(b, 0);
    expect((await backUp(b)).sent).toBeGreaterThan(content.byteLength);
    await change(b, 0);
    expect((await backUp(b)).sent).toBeLessThan(partBytes + aside);
    await expectRestored();
    await other.close();
  });
});
