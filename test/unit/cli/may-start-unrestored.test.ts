import { mkdir, rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mayStartUnrestored } from '../../../src/cli/commands/may-start-unrestored.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { describeFailure } from '../../../src/remotes/directory/directory-file.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { fromS3 } from '../../../src/remotes/s3/errors/s3-errors.ts';
import { locateHome, statePath } from '../../../src/home/home.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let host: Host;
beforeEach(async () => {
  host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
  await host.write({ 'a.txt': 'one' });
});
afterEach(() => host.remove());

const mayGoOn = (error: unknown, onError?: 'continue'): Promise<boolean> =>
  mayStartUnrestored(error, { store: host.store, onError, agent: host.agent });
const s3 = (name: string, status: number): SyncAgentError =>
  fromS3(Object.assign(new Error(name), { name, $metadata: { httpStatusCode: status } }), {
    action: 'list',
    now: () => 0,
  });
const errno = (code: string): Error => Object.assign(new Error(code), { code });

describe('an application may start with its present store when the remote', () => {
  it.each([
    ['does not answer', s3('InternalError', 503)],
    ['denies it', s3('AccessDenied', 403)],
    ['knows the credentials as expired', s3('ExpiredToken', 400)],
    ['has no such bucket', s3('NoSuchBucket', 404)],
    ['is a directory that may not be read', describeFailure(errno('EACCES'), 'list')],
  ])('%s', async (_, error) => {
    expect(await mayGoOn(error)).toBe(true);
  });
});

describe('it may not, not even with --on-error continue,', () => {
  it("when this host's own state cannot be read, though the remote can", async () => {
    await host.agent.backup();
    const home = await locateHome(host.store);
    // Unreadable for any user.
    await rm(statePath(home));
    await mkdir(statePath(home));
    const error: unknown = await host.agent.restore().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DENIED' });
    expect(await mayGoOn(error)).toBe(false);
    expect(await mayGoOn(error, 'continue')).toBe(false);
  });

  it.each([
    ['an object is missing', s3('NoSuchKey', 404)],
    ['a snapshot is damaged', new SyncAgentError('SNAPSHOT_CORRUPT', 'x')],
    ['it is a defect', errno('EACCES')],
  ])('when %s', async (_, error) => {
    expect(await mayGoOn(error, 'continue')).toBe(false);
  });
});
