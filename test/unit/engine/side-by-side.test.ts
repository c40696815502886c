import { afterEach, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

/** Answers none of `expected` before all of them were asked. A request that waits for another's answer is never made. */
class Meeting {
  readonly #missing: Set<string>;
  readonly #all: Promise<void>;
  #open: () => void = () => undefined;

  constructor(expected: readonly string[]) {
    this.#missing = new Set(expected);
    this.#all = new Promise((resolve) => (this.#open = resolve));
  }

  async at(request: string): Promise<void> {
    if (!this.#missing.delete(request)) return;
    if (this.#missing.size === 0) this.#open();
    await this.#all;
  }
}

function meetingAt(remote: Remote, meeting: Meeting): Remote {
  return {
    ...passThrough(remote),
    put: async (key, body, options) => {
      await meeting.at(`put ${key}`);
      return remote.put(key, body, options);
    },
    copy: async (from, to, options) => {
      await meeting.at(`copy to ${to}`);
      return remote.copy(from, to, options);
    },
    list: async function* (prefix, options) {
      await meeting.at(`list ${prefix}`);
      yield* remote.list(prefix, options);
    },
    listDirectories: async (prefix, options) => {
      await meeting.at(`list directories of ${prefix}`);
      return remote.listDirectories(prefix, options);
    },
  };
}

const remote = createMemoryRemote({ now: Date.now });
const hosts: Host[] = [];
afterEach(async () => {
  for (const each of hosts.splice(0)) await each.remove();
  for await (const page of remote.list('')) await remote.remove(page.objects.map(({ key }) => key));
});

async function hostOf(seen: Remote, fs: FileSystem = nodeFileSystem): Promise<Host> {
  const host = await makeHost({ remote: seen, fs });
  hosts.push(host);
  await host.write({ file: 'content' });
  return host;
}

it('a first backup asks for the log and for traces of a lost one in one round trip', async () => {
  const meeting = new Meeting(['list commits/', 'list history/', 'list manifest.json']);
  const host = await hostOf(meetingAt(remote, meeting));
  expect((await host.agent.backup()).type).toBe('committed');
});

it('a first backup that sees the traces of a commit made meanwhile goes on behind it', async () => {
  const other = await hostOf(remote);
  let committed: Promise<unknown> | undefined;
  const late: Remote = {
    ...passThrough(remote),
    list: async function* (prefix, options) {
      if (prefix !== 'commits/') await committed;
      for await (const page of remote.list(prefix, options)) {
        if (prefix === 'commits/') await (committed ??= other.agent.backup());
        yield page;
      }
    },
  };
  const host = await hostOf(late);
  await host.write({ file: 'another content' });
  expect(await host.agent.backup()).toMatchObject({ type: 'committed', parent: null });
  expect((await host.agent.list()).map(({ generation }) => generation)).toEqual([1, 2]);
});

it('traces that were looked for early do not count when the log is listed again', async () => {
  await remote.put('commits/0000000001.json', textBody('{}'));
  let listings = 0;
  // The commit vanishes after it was listed, and what shows that there was one comes after traces were looked for.
  const vanishing: Remote = {
    ...passThrough(remote),
    get: async (key, options) => {
      await remote.remove(['commits/0000000001.json']);
      await remote.put('history/.commits/0000000001.json', textBody('{}'));
      return remote.get(key, options);
    },
    list: async function* (prefix, options) {
      if (prefix === 'history/') listings += 1;
      yield* remote.list(prefix, options);
    },
  };
  const host = await hostOf(vanishing);
  await expect(host.agent.backup()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  expect(listings).toBe(2);
});

it('this host records its parent while the server publishes', async () => {
  const meeting = new Meeting(['copy to file', 'record']);
  let isCommitted = false;
  const met = meetingAt(remote, meeting);
  const seen: Remote = {
    ...met,
    put: async (key, body, options) => {
      const answer = await met.put(key, body, options);
      isCommitted ||= key.startsWith('commits/');
      return answer;
    },
  };
  const host = await hostOf(seen, {
    ...nodeFileSystem,
    rename: async (from, to) => {
      if (isCommitted && to.endsWith('state.json')) await meeting.at('record');
      await nodeFileSystem.rename(from, to);
    },
  });
  expect((await host.agent.backup()).type).toBe('committed');
});

it('what follows a commit is asked for together with the look at the log that confirms it', async () => {
  const meeting = new Meeting([
    'list commits/ after the commit',
    'copy to file',
    'list directories of history/',
    'list history/. for the rotation',
  ]);
  let isCommitted = false;
  const met = meetingAt(remote, meeting);
  const host = await hostOf({
    ...met,
    put: async (key, body, options) => {
      const answer = await met.put(key, body, options);
      isCommitted ||= key.startsWith('commits/');
      return answer;
    },
    list: async function* (prefix, options) {
      if (isCommitted && prefix === 'commits/') await meeting.at('list commits/ after the commit');
      if (isCommitted && prefix === 'history/.') await meeting.at('list history/. for the rotation');
      yield* remote.list(prefix, options);
    },
  });
  expect((await host.agent.backup()).type).toBe('committed');
});
