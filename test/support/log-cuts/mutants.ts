import { sealLog } from '../../../src/engine/continuous/seal-log.ts';
import { readLog } from '../../../src/log/commit-log.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { logOf } from '../log-of.ts';
import { contextOf, passThrough } from '../race.ts';

/** A guard taken away, or two steps in the wrong order, by what stands between the agent and its world. */
export interface Guardless {
  readonly fs?: (fs: FileSystem) => FileSystem;
  readonly remote?: (remote: Remote) => Remote;
}

interface Mutant {
  readonly name: string;
  readonly scenario: string;
  readonly without: () => Guardless;
}

export const isCommit = (key: string): boolean => key.startsWith('commits/');
export const isSegment = (key: string): boolean => key.includes('/.sync-agent/log/');

const now = { serverTime: new Date() };
const nothing = async (): Promise<void> => undefined;

const putting =
  (put: (remote: Remote) => Remote['put']) =>
  (remote: Remote): Remote => ({
    ...passThrough(remote),
    put: put(remote),
  });

const isCommitted = async (remote: Remote, key: string): Promise<boolean> =>
  (await readLog(logOf(remote))).snapshots.some(({ entry }) => key.includes(entry.id));

/** What is written under a name is not what it should be. */
const writing =
  (end: string, change: (text: string) => string) =>
  (fs: FileSystem): FileSystem => ({
    ...fs,
    openForWrite: async (path, options) => {
      const file = await fs.openForWrite(path, options);
      if (!path.endsWith(end)) return file;
      return {
        ...file,
        write: (bytes, at) => file.write(Buffer.from(change(Buffer.from(bytes).toString())), at),
      };
    },
  });

const anonymous = (text: string): string => text.replace(/,"writer":"[0-9a-f]*"/, '');

export const mutants: readonly Mutant[] = [
  {
    name: 'a segment was reported before it was put',
    scenario: 'segments behind a snapshot',
    without: () => {
      const late: (() => Promise<unknown>)[] = [];
      return {
        remote: putting((remote) => async (key, body, options) => {
          for (const each of late.splice(0)) await each();
          if (!isSegment(key)) return remote.put(key, body, options);
          late.push(() => remote.put(key, body, options));
          return now;
        }),
      };
    },
  },
  {
    name: 'a segment was recorded before it was put',
    scenario: 'segments behind a snapshot',
    without: () => {
      const late: (() => Promise<unknown>)[] = [];
      return {
        remote: putting((remote) => async (key, body, options) => {
          if (!isSegment(key)) return remote.put(key, body, options);
          late.push(() => remote.put(key, body, options));
          return now;
        }),
        fs: (fs) => ({
          ...fs,
          rename: async (from, to) => {
            await fs.rename(from, to);
            if (to.endsWith('/log-shipped.json')) for (const each of late.splice(0)) await each();
          },
        }),
      };
    },
  },
  {
    name: 'a record of the log did not say who wrote it',
    scenario: 'a machine that comes back after its server wrote on',
    without: () => ({ fs: writing('/log-shipped.json.tmp', anonymous) }),
  },
  {
    name: 'a log that goes on behind a first snapshot did not say who writes it',
    scenario: 'the first backup of a store that is followed',
    without: () => ({ fs: writing('/log-ready.json.tmp', anonymous) }),
  },
  {
    name: 'the records of the log were not synced',
    scenario: 'segments behind a snapshot',
    without: () => ({
      fs: (fs) => ({
        ...fs,
        openForWrite: async (path, options) => ({ ...(await fs.openForWrite(path, options)), sync: nothing }),
      }),
    }),
  },
  {
    name: 'a log was ended before the snapshot that goes on from it',
    scenario: 'a backup while the log goes on',
    without: () => ({
      remote: putting((remote) => async (key, body, options) => {
        const { head } = await readLog(logOf(remote));
        if (isCommit(key) && head !== undefined)
          await sealLog(contextOf(remote, Date.now, Math.random, 'mutant'), head, head.id);
        return remote.put(key, body, options);
      }),
    }),
  },
  {
    name: 'the log of a new snapshot was written after its commit',
    scenario: 'a backup while the log goes on',
    without: () => {
      const late: (() => Promise<unknown>)[] = [];
      return {
        remote: putting((remote) => async (key, body, options) => {
          if (isSegment(key) && !(await isCommitted(remote, key))) {
            late.push(() => remote.put(key, body, options));
            return now;
          }
          const done = await remote.put(key, body, options);
          if (isCommit(key)) for (const each of late.splice(0)) await each();
          return done;
        }),
      };
    },
  },
  {
    name: 'the log that counts was not written while a snapshot is made',
    scenario: 'a backup while the log goes on',
    without: () => {
      let isMaking = false;
      return {
        remote: putting((remote) => async (key, body, options) => {
          if (isCommit(key)) isMaking = false;
          if (isSegment(key) && (await isCommitted(remote, key)) && isMaking) return now;
          return remote.put(key, body, options);
        }),
        fs: (fs) => ({
          ...fs,
          rename: async (from, to) => {
            await fs.rename(from, to);
            if (to.endsWith('/log-next.json')) isMaking = true;
          },
        }),
      };
    },
  },
  {
    name: 'segments were overwritten',
    scenario: 'another machine that takes over, and an earlier one that wakes up',
    without: () => ({
      remote: putting(
        (remote) =>
          (key, body, { ifAbsent, ...options } = {}) =>
            remote.put(key, body, {
              ...options,
              ...(isSegment(key) || ifAbsent !== true ? {} : { ifAbsent }),
            }),
      ),
    }),
  },
  {
    name: 'a restore to a moment did not give up the log after it',
    scenario: 'a restore to an earlier moment',
    without: () => ({
      fs: (fs) => ({
        ...fs,
        rename: (from, to) => (to.endsWith('/log-given-up') ? nothing() : fs.rename(from, to)),
      }),
    }),
  },
];
