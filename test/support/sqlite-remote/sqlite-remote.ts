import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';
import type { Clock } from '../../../src/platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf, throwIfAborted } from '../../../src/platform/errors.ts';
import { readBody } from '../../../src/remotes/read-body.ts';
import { describeCall, describeKeys } from '../../../src/remotes/describe-call.ts';
import type { RemoteOperation } from '../../../src/remotes/describe-call.ts';
import { assertKey, assertRange } from '../../../src/remotes/key.ts';
import type { CallOptions, GetOptions, ListPage, ObjectInfo, Remote } from '../../../src/remotes/remote.ts';

const pageSize = 1000;
/** However large an object is, no more of it is in memory. */
const chunkBytes = 256 * 1024;

/** Each upload has a number, which is the object's version once it counts. SQLite orders BLOBs by their bytes. */
const schema = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS uploads (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB, begun INTEGER);
  CREATE TABLE IF NOT EXISTS objects (key BLOB PRIMARY KEY, version INTEGER, size INTEGER, modified INTEGER);
  CREATE TABLE IF NOT EXISTS chunks (version INTEGER, start INTEGER, bytes BLOB, PRIMARY KEY (version, start));
`;

interface Row {
  readonly key: Buffer;
  readonly version: number;
  readonly size: number;
  readonly modified: number;
}

/** A remote in a SQLite file that several processes of this host may use. The server's clock is this host's. */
export function createSqliteRemote(path: string, clock: Clock): Remote {
  const location = `sqlite://${path}`;
  let opened: Database.Database | undefined;
  const database = (): Database.Database => {
    opened ??= new Database(path);
    opened.exec(schema);
    return opened;
  };
  const now = (): Date => new Date(clock.now());
  const blob = (text: string): Buffer => Buffer.from(text, 'utf8');

  /** Every call: an aborted one does nothing, and whatever SQLite throws becomes an error that says what failed. */
  async function run<T>(
    operation: RemoteOperation,
    subject: string,
    { signal }: CallOptions,
    work: (db: Database.Database, action: string) => Promise<T> | T,
  ): Promise<T> {
    const action = describeCall(operation, subject, location);
    throwIfAborted(signal, action);
    try {
      return await work(database(), action);
    } catch (error) {
      throw describeFailure(error, action);
    }
  }

  function find(db: Database.Database, key: string): Row | undefined {
    return db.prepare('SELECT * FROM objects WHERE key = ?').get(blob(key)) as Row | undefined;
  }

  function drop(db: Database.Database, key: string): void {
    db.prepare('DELETE FROM chunks WHERE version = (SELECT version FROM objects WHERE key = ?)').run(
      blob(key),
    );
    db.prepare('DELETE FROM objects WHERE key = ?').run(blob(key));
  }

  function dropUpload(db: Database.Database, number: number | bigint): void {
    db.prepare('DELETE FROM chunks WHERE version = ?').run(number);
    db.prepare('DELETE FROM uploads WHERE number = ?').run(number);
  }

  /** One transaction: an upload becomes the object, for every reader at once. False if it may not replace one. */
  function publish(
    db: Database.Database,
    {
      key,
      version,
      size,
      ifAbsent,
    }: { key: string; version: number | bigint; size: number; ifAbsent: boolean },
  ): boolean {
    return db
      .transaction(() => {
        if (ifAbsent && find(db, key) !== undefined) return false;
        drop(db, key);
        db.prepare('INSERT INTO objects VALUES (?, ?, ?, ?)').run(blob(key), version, size, clock.now());
        db.prepare('DELETE FROM uploads WHERE number = ?').run(version);
        return true;
      })
      .immediate();
  }

  function beginUpload(db: Database.Database, key: string): number | bigint {
    const insert = db.prepare('INSERT INTO uploads (key, begun) VALUES (?, ?)');
    return insert.run(blob(key), clock.now()).lastInsertRowid;
  }

  function page(db: Database.Database, prefix: string, after: string): ObjectInfo[] {
    const rows = db
      .prepare('SELECT * FROM objects WHERE key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?')
      .all(blob(after), blob(prefix).length, blob(prefix), pageSize) as Row[];
    return rows.map(({ key, size, modified }) => ({
      key: key.toString('utf8'),
      size,
      lastModified: new Date(modified),
    }));
  }

  async function* list(
    prefix: string,
    { startAfter = '', signal }: CallOptions & { startAfter?: string } = {},
  ) {
    for (let after = startAfter, pages = 0; ; pages += 1) {
      const objects = await run('list', prefix, { signal }, (db) => page(db, prefix, after));
      if (objects.length === 0 && pages > 0) return;
      yield { objects, serverTime: now() } satisfies ListPage;
      if (objects.length < pageSize) return;
      after = objects.at(-1)?.key ?? after;
    }
  }

  return {
    location,
    put: (key, body, options = {}) =>
      run('put', key, options, async (db, action) => {
        assertKey(key);
        const version = beginUpload(db, key);
        try {
          const hash = createHash('sha256');
          const insert = db.prepare('INSERT INTO chunks VALUES (?, ?, ?)');
          let size = 0;
          for await (const chunk of readBody(body, { action, signal: options.signal })) {
            for (let start = 0; start < chunk.byteLength; start += chunkBytes)
              insert.run(version, size + start, Buffer.from(chunk.subarray(start, start + chunkBytes)));
            hash.update(chunk);
            size += chunk.byteLength;
            options.onBytes?.(chunk.byteLength);
          }
          if (options.sha256 !== undefined && options.sha256 !== hash.digest('hex'))
            throw unreachable(action, 'it arrived damaged', { retryable: true });
          await options.after;
          throwIfAborted(options.signal, action);
          if (!publish(db, { key, version, size, ifAbsent: options.ifAbsent === true }))
            throw new SyncAgentError('ALREADY_EXISTS', `Cannot ${action}: it already exists`);
          return { serverTime: now() };
        } catch (error) {
          dropUpload(db, version);
          throw error;
        }
      }),
    get: (key, options = {}) =>
      run('get', key, options, (_, action) => {
        assertRange(options.range);
        // A transaction of its own: whatever is replaced meanwhile, its bytes are of one version.
        const reader = new Database(path, { readonly: true });
        try {
          reader.exec('BEGIN');
          const row = find(reader, key);
          if (row === undefined) throw missing(action);
          const version = String(row.version);
          if (options.ifVersion !== undefined && options.ifVersion !== version)
            throw unreachable(action, 'it was replaced meanwhile');
          const { start, end } = options.range ?? { start: 0, end: row.size };
          if (options.range !== undefined && start >= row.size)
            throw unreachable(action, `it has ${row.size} bytes, not ${start}`);
          const range = { start, end: Math.min(end, row.size) };
          const body = readChunks(reader, { ...options, version: row.version, range, action });
          return { size: range.end - range.start, body, version, serverTime: now() };
        } catch (error) {
          reader.close();
          throw error;
        }
      }),
    head: (key, options = {}) =>
      run('head', key, options, (db) => {
        const row = find(db, key);
        return row && { key, size: row.size, lastModified: new Date(row.modified) };
      }),
    list,
    listDirectories: async (prefix, options = {}) => {
      const names = new Set<string>();
      for await (const { objects } of list(prefix, options)) {
        const below = objects.map(({ key }) => key.slice(prefix.length)).filter((rest) => rest.includes('/'));
        for (const rest of below) names.add(rest.slice(0, rest.indexOf('/')));
      }
      const sorted = [...names].toSorted((a, b) => Buffer.compare(blob(a), blob(b)));
      return { names: sorted, serverTime: now() };
    },
    copy: (from, to, options = {}) =>
      run('copy', from, options, async (db, action) => {
        assertKey(to);
        await options.after;
        const row = find(db, from);
        if (row === undefined) throw missing(action);
        const version = beginUpload(db, to);
        db.prepare('INSERT INTO chunks SELECT ?, start, bytes FROM chunks WHERE version = ?').run(
          version,
          row.version,
        );
        publish(db, { key: to, version, size: row.size, ifAbsent: false });
      }),
    remove: (keys, options = {}) =>
      run('remove', describeKeys(keys), options, (db) => {
        db.transaction(() => keys.forEach((key) => drop(db, key)))();
      }),
    sweepUploads: (prefix, before, options = {}) =>
      run('sweepUploads', prefix, options, (db) => {
        const unfinished = db
          .prepare('SELECT number FROM uploads WHERE begun < ? AND substr(key, 1, ?) = ?')
          .pluck()
          .all(before.getTime(), blob(prefix).length, blob(prefix)) as number[];
        for (const number of unfinished) dropUpload(db, number);
        return unfinished.length;
      }),
    close: async () => {
      opened?.close();
      opened = undefined;
    },
  };
}

async function* readChunks(
  reader: Database.Database,
  {
    version,
    range: { start, end },
    action,
    signal,
  }: GetOptions & { version: number; range: { start: number; end: number }; action: string },
): AsyncGenerator<Uint8Array> {
  try {
    const rows = reader
      .prepare(
        'SELECT start, bytes FROM chunks WHERE version = ? AND start < ? AND start + length(bytes) > ? ORDER BY start',
      )
      .iterate(version, end, start) as IterableIterator<{ start: number; bytes: Buffer }>;
    for (const { start: at, bytes } of rows) {
      throwIfAborted(signal, action);
      yield bytes.subarray(Math.max(0, start - at), end - at);
    }
  } finally {
    reader.close();
  }
}

function missing(action: string): SyncAgentError {
  return new SyncAgentError('NOT_FOUND', `Cannot ${action}: it does not exist`);
}

function unreachable(action: string, why: string, options?: { readonly retryable: boolean }): SyncAgentError {
  return new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: ${why}`, options);
}

/** Somebody else writing passes; a full disk needs a person; all else is told as it is. */
function describeFailure(error: unknown, action: string): unknown {
  if (isSyncAgentError(error) || !(error instanceof Database.SqliteError)) return error;
  const code = error.code === 'SQLITE_FULL' ? 'DISK_FULL' : 'REMOTE_UNREACHABLE';
  const retryable = error.code.startsWith('SQLITE_BUSY');
  return new SyncAgentError(code, `Cannot ${action}: ${messageOf(error)}`, { retryable, cause: error });
}
