import Database from 'better-sqlite3';
import { messageOf } from '../../platform/errors.ts';
import { sqliteCodeOf } from './sqlite-image.ts';
import type { InspectOptions, Problem, Verdict } from '../adapter.ts';

export interface CheckOptions {
  /** Names the database in messages: its path in the store. */
  readonly label: string;
  readonly level: InspectOptions['level'];
  /** As `InspectOptions.fullText`. */
  readonly fullText?: InspectOptions['fullText'];
  /** Tables that hold only what the rest of the database also says, and so can be made anew. By default full-text indexes. */
  readonly isDerived?: (table: string) => boolean;
  /** Whether "sync-agent repair" mends such a database. Then remedies name it. */
  readonly isMendable?: boolean;
}

/** What `checkDatabase` found. */
export interface DatabaseVerdict extends Verdict {
  /** Whether full-text indexes were not compared with their texts. */
  readonly isFullTextLeft: boolean;
}

/**
 * Judges one database by SQLite's own checks, and tells what they mean: a table that cannot be read whole is damage; an
 * index that can be built again, a constraint that does not hold, and what plain SQLite cannot evaluate are findings.
 *
 * The check of the whole database decides first. Only what it complains of, or where it gives up, is looked at table by
 * table: one collation that the application registers must not hide the other tables.
 */
export function checkDatabase(db: Database.Database, options: CheckOptions): DatabaseVerdict {
  const report = new Report(options.label, options.isMendable === true);
  try {
    const schema = readSchema(db, options);
    report.isFullTextLeft = schema.hasFullText && leavesFullText(db, options);
    if (!report.isFullTextLeft || options.level === 'proven')
      return check(db, schema, { ...options, report });
    const blind = openWithoutFullText(db);
    try {
      return check(blind, schema, { ...options, report });
    } finally {
      blind.close();
    }
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    report.add('damage', `it cannot be read: ${messageOf(error)}`);
    return report;
  }
}

function check(
  db: Database.Database,
  schema: Schema,
  { level, report }: Pick<CheckOptions, 'level'> & { readonly report: Report },
): Report {
  if (level !== 'proven') {
    const whole = tryCheck(db, level, String(enoughLines));
    if (whole.type === 'lines' && whole.lines.length < enoughLines) {
      for (const line of whole.lines) report.add(meaningOf(line, schema), named(line, schema));
      return report;
    }
    if (whole.type === 'lines')
      for (const line of whole.lines) if (isOfNoTable(line)) report.add('damage', line);
  }
  for (const { name, type } of schema.tables) {
    if (type === 'view' || (level === 'proven' && type === 'virtual')) continue;
    const found = checkTable(db, level, name);
    if (found.type === 'lines')
      for (const line of found.lines) report.add(meaningOf(line, schema, name), named(line, schema));
    else if (isCorruption(found.code)) {
      const meaning = schema.isDerived(name) ? 'full-text' : canBeRead(db, name) ? 'index' : 'damage';
      report.add(meaning, `"${name}": ${found.message}`);
    } else report.add('not-evaluable', `"${name}" cannot be checked here: ${found.message}`);
  }
  return report;
}

/** Comparing the full-text indexes of a database of this size takes a tenth of a second. */
const smallBytes = 32 * 1024 * 1024;

function leavesFullText(db: Database.Database, { fullText, level }: CheckOptions): boolean {
  if (level !== 'quick') return level === 'proven';
  if (fullText !== 'if-small') return false;
  const pages = Number(db.pragma('page_count', { simple: true }));
  return pages * Number(db.pragma('page_size', { simple: true })) > smallBytes;
}

/**
 * SQLite's check asks each virtual table's module to compare it with its texts (`xIntegrity`, since 3.44). On a connection of
 * its own these tables get a module that cannot. The pages that hold an index are checked as all others are.
 */
function openWithoutFullText(db: Database.Database): Database.Database {
  const blind = new Database(db.name, { readonly: true, fileMustExist: true });
  const nothing = {
    columns: ['text'],
    rows: function* () {
      yield* [];
    },
  };
  // Before the first query that names such a table: it keeps the module that it had then.
  for (const name of ['fts3', 'fts4', 'fts5']) blind.table(name, nothing);
  return blind;
}

/** How many complaints of the whole check are read before each table is asked for its own. */
const enoughLines = 100;
/** Of each database, for people: the rest is only counted. */
const mostTold = 5;

type Meaning = 'damage' | 'full-text' | 'index' | 'constraint' | 'unused-pages' | 'not-evaluable';

interface Schema {
  readonly tables: readonly {
    readonly name: string;
    readonly type: 'table' | 'shadow' | 'virtual' | 'view';
  }[];
  /** By root page. */
  readonly roots: ReadonlyMap<
    number,
    { readonly type: string; readonly name: string; readonly table: string }
  >;
  readonly isDerived: (table: string) => boolean;
  readonly hasFullText: boolean;
}

function readSchema(db: Database.Database, { isDerived }: CheckOptions): Schema {
  const rows = db
    .prepare('SELECT type, name, tbl_name AS "table", rootpage, sql FROM sqlite_master')
    .all() as { type: string; name: string; table: string; rootpage: number | null; sql: string | null }[];
  const fullText = rows.filter(({ sql }) => /^CREATE VIRTUAL TABLE .* USING\s+fts[345]\b/is.test(sql ?? ''));
  const derived = new Set(fullText.flatMap(({ name }) => [name, ...derivedParts.map((part) => name + part)]));
  const tables = db.prepare("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").all();
  return {
    tables: tables as Schema['tables'],
    roots: new Map(rows.flatMap((row) => (row.rootpage ? [[row.rootpage, row] as const] : []))),
    isDerived: isDerived ?? ((table) => derived.has(table)),
    hasFullText: fullText.length > 0,
  };
}

/** What a full-text index keeps besides its texts (`_content`), which may be the only copy (sqlite.org/fts5.html, fts3.html). */
const derivedParts = ['_data', '_idx', '_docsize', '_config', '_segments', '_segdir', '_stat'];

type Checked =
  | { readonly type: 'lines'; readonly lines: readonly string[] }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** `what`: how many complaints to list of the whole database, or the quoted name of one table. */
function tryCheck(db: Database.Database, level: InspectOptions['level'], what: string): Checked {
  try {
    const rows = db.pragma(`${level === 'full' ? 'integrity_check' : 'quick_check'}(${what})`) as object[];
    const lines = rows.flatMap((row) => String(Object.values(row)[0]).split('\n'));
    return {
      type: 'lines',
      lines: lines.filter((line) => line !== 'ok' && !line.startsWith('*** in database')),
    };
  } catch (error) {
    const code = sqliteCodeOf(error);
    if (code === undefined) throw error;
    return { type: 'failed', code, message: messageOf(error) };
  }
}

/** A damaged index can end the comparison with its table before anything is said; the quick check looks at each by itself. */
function checkTable(db: Database.Database, level: InspectOptions['level'], name: string): Checked {
  const found = tryCheck(db, level, quoted(name));
  return found.type === 'failed' && level === 'full' ? tryCheck(db, 'quick', quoted(name)) : found;
}

/** Whether every row of a table can be had without its indexes. */
function canBeRead(db: Database.Database, table: string): boolean {
  try {
    const rows = db
      .prepare(`SELECT * FROM ${quoted(table)} NOT INDEXED`)
      .raw()
      .iterate();
    for (const _ of rows) continue;
    return true;
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    return false;
  }
}

/** A complaint about the file as a whole: the list of free pages, the map of pointers, a page used twice. */
const isOfNoTable = (line: string): boolean =>
  /^(Freelist|Page \d+|Bad ptr map)/i.test(line) && !/never used/.test(line);

function meaningOf(line: string, schema: Schema, table?: string): Meaning {
  if (/never used/.test(line)) return 'unused-pages';
  if (/^(CHECK constraint failed in|NULL value in|\S+ value in) /.test(line)) return 'constraint';
  if (/\bfts[345]\b|inverted index/i.test(line)) return 'full-text';
  if (
    /^(row .* (missing from|values differ from) index|wrong # of entries in index|non-unique entry in index)/.test(
      line,
    )
  )
    return 'index';
  const root = /^Tree (\d+)\b/.exec(line)?.[1];
  const object = root === undefined ? undefined : schema.roots.get(Number(root));
  if (schema.isDerived(object?.table ?? table ?? '')) return 'full-text';
  return object?.type === 'index' ? 'index' : 'damage';
}

/** SQLite names a tree by its root page, which tells people nothing. */
function named(line: string, { roots }: Schema): string {
  const object = roots.get(Number(/^Tree (\d+)\b/.exec(line)?.[1]));
  return object === undefined ? line : `${object.type} "${object.name}": ${line}`;
}

const isCorruption = (code: string): boolean => /^SQLITE_(CORRUPT|NOTADB|IOERR|CANTOPEN|FULL)/.test(code);

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

class Report implements DatabaseVerdict {
  isFullTextLeft = false;
  readonly damage: Problem[] = [];
  readonly findings: Problem[] = [];
  readonly #label: string;
  readonly #isMendable: boolean;

  constructor(label: string, isMendable: boolean) {
    this.#label = label;
    this.#isMendable = isMendable;
  }

  add(meaning: Meaning, line: string): void {
    const list = meaning === 'damage' ? this.damage : this.findings;
    if (list.length >= mostTold) return;
    const detail = line.replaceAll(/\s+/g, ' ').slice(0, 300);
    list.push({ where: this.#label, ...this.#problem(meaning, detail) });
  }

  #problem(meaning: Meaning, detail: string): Omit<Problem, 'where'> {
    const label = this.#label;
    switch (meaning) {
      case 'damage':
        return { kind: 'database', message: `${label} is corrupt: ${detail}` };
      case 'full-text':
        return {
          kind: 'full-text',
          message: `${label}: a full-text index does not match its texts (${detail}); nothing is lost, searches by text may miss records, and writes may fail`,
          remedy: this.#isMendable
            ? 'Stop its server, and run "sync-agent repair". Texts with NUL characters are reported too, and are harmless'
            : `Stop its server and build it anew: sqlite3 ${label} "INSERT INTO T(T) VALUES('rebuild')" with the name of the full-text table as T. Texts with NUL characters are reported too, and are harmless`,
        };
      case 'index':
        return {
          kind: 'index',
          message: `${label}: an index is damaged (${detail}); no record is lost, but queries may fail`,
          remedy: this.#isMendable
            ? 'Stop its server, and run "sync-agent repair"'
            : `Stop its server and build the indexes anew: sqlite3 ${label} REINDEX`,
        };
      case 'constraint':
        return { kind: 'constraint', message: `${label}: a record breaks a rule of its table (${detail})` };
      case 'unused-pages':
        return {
          kind: 'unused-pages',
          message: `${label} has pages that nothing uses (${detail})`,
          remedy: this.#isMendable
            ? 'They only cost space. Stop its server, and run "sync-agent maintain"'
            : `They only cost space. Stop its server and free them: sqlite3 ${label} VACUUM`,
        };
      case 'not-evaluable':
        return {
          kind: 'not-evaluable',
          message: `${label}: ${detail}`,
          remedy: 'It needs what its own application registers with SQLite. It is backed up byte for byte',
        };
      default:
        return meaning satisfies never;
    }
  }
}
