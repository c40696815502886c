import { resolve } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import type { CollectionStatistics, Problem, StoreReport } from '../../stores/adapter.ts';
import type { ServerPlace, ServerReport } from '../../stores/reading.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { databasesOf } from '../soundness/judge-store.ts';
import { soundnessOf } from '../soundness/soundness.ts';
import { withStoreSource } from './store-source.ts';
import type { SourceName, StoreSource } from './store-source.ts';

export interface CheckOptions {
  /** Also asks a running server of the store. */
  readonly server?: ServerPlace | undefined;
  /** The directory, if it is not the agent's own store: the commands in the report name it. */
  readonly dir?: string | undefined;
}

export interface CheckReport {
  readonly store: string;
  /** Its id, if a snapshot was checked. */
  readonly snapshot: string | null;
  /** The kind of store: `chroma`. */
  readonly kind: string;
  /** `image`: it is in use, so a copy of it was checked. */
  readonly source: StoreSource['kind'];
  /** No damage, and the server, if one was asked, can give out everything. */
  readonly isSound: boolean;
  /** That can still be counted. */
  readonly records: number;
  readonly collections: readonly CollectionStatistics[];
  /** The store's own server would lose records, refuse them, or crash. */
  readonly damage: readonly CheckedProblem[];
  /** No record is at risk. */
  readonly findings: readonly CheckedProblem[];
  /** Null if no server was asked. */
  readonly server: ServerReport | null;
  readonly tookMs: number;
}

export interface CheckedProblem {
  readonly kind: Problem['kind'];
  /** The file, relative to the store, or the collection. */
  readonly where: string;
  /** One sentence that names the place, without a final period. */
  readonly message: string;
  /** What it concerns, as far as that can still be read. */
  readonly affects: {
    /** Names. */
    readonly collections: readonly string[];
    /** How many records are in them, null if that is not known. */
    readonly records: number | null;
  };
  /** The command that mends it; null if there is none. */
  readonly command: string | null;
  /** What else mends it. */
  readonly remedy: string | null;
}

/**
 * Says whether a store, or a snapshot, is sound, and compares everything, also full-text indexes with their texts. An image of a store that is in
 * use is taken again before it is called damaged. Changes nothing. Damage is a result, not an error. TOO_NEW for a store of a newer
 * program than is known here; NOT_FOUND without one.
 */
export async function checkStore(
  context: Context,
  name: SourceName,
  { server, dir }: CheckOptions = {},
): Promise<CheckReport> {
  const { clock, home, signal } = context;
  const startMs = clock.monotonic();
  const checked = await withStoreSource(context, name, async (source) => {
    const { reading } = source.adapter;
    if (server !== undefined && reading === undefined) throw hasNoServer(home.store, source.adapter.name);
    let report = await look(context, source);
    if (report.damage.length > 0 && source.retake !== undefined) {
      await source.retake();
      report = await look(context, source);
    }
    const explain = (problem: Problem): CheckedProblem => explained(problem, report, source, dir);
    return {
      snapshot: name.type === 'snapshot' ? (source.known?.id ?? null) : null,
      kind: source.adapter.name,
      source: source.kind,
      records: report.statistics.records,
      collections: report.statistics.collections ?? [],
      damage: report.damage.map(explain),
      findings: report.findings.map(explain),
      reading,
    };
  });
  const { reading, ...found } = checked;
  const answered = server === undefined ? null : ((await reading?.checkServer(server, { signal })) ?? null);
  return {
    store: home.store,
    ...found,
    isSound: found.damage.length === 0 && (answered?.problems.length ?? 0) === 0,
    server: answered,
    tookMs: Math.round(clock.monotonic() - startMs),
  };
}

/** The part of `checkStore` that asks the running server of the store. */
export async function checkServer(context: Context, server: ServerPlace): Promise<ServerReport> {
  const { home, signal } = context;
  const { name, reading } = await context.detectAdapter(home.store);
  if (reading === undefined) throw hasNoServer(home.store, name);
  return reading.checkServer(server, { signal });
}

async function look(context: Context, source: StoreSource): Promise<StoreReport> {
  const { settings, home, signal } = context;
  const { adapter, dir, kind, known, scratch } = source;
  enterPhase(context, 'validate');
  const report = await adapter.inspect(dir, {
    level: settings.validation,
    databases: databasesOf(context, known),
    exclude: home.exclude,
    signal,
    // An image and a snapshot have nothing that SQLite would have to recover.
    ...(kind === 'store' ? { scratch } : {}),
  });
  return { ...report, ...soundnessOf(report, known) };
}

function explained(
  { kind, where, message, collection, remedy }: Problem,
  { statistics, uncounted = [] }: StoreReport,
  { adapter, kind: source, known }: StoreSource,
  dir: string | undefined,
): CheckedProblem {
  const { collections = [] } = statistics;
  const affected = collections.filter(({ id }) => collection === undefined || id === collection);
  const command = adapter.reading?.mendedBy[kind];
  const isDamage = kind === 'database' || kind === 'schema' || kind === 'vector-index';
  // A snapshot is never mended: an older one, or its records, take its place.
  const ofSnapshot = isDamage ? `export --salvage ${known?.id ?? ''}`.trim() : undefined;
  const words =
    source === 'snapshot'
      ? adapter.reading && ofSnapshot
      : (command ?? (isDamage ? 'restore --force' : undefined));
  return {
    kind,
    where,
    message,
    affects: {
      collections: affected.length === 0 ? uncounted : affected.map(({ name }) => name),
      records: affected.length === 0 ? null : sumOf(affected),
    },
    command: words === undefined ? null : `sync-agent ${words}${placeOf(words, dir)}`,
    remedy: remedy ?? null,
  };
}

/** An export names its directory without a flag, and needs another one to write into. */
function placeOf(words: string, dir: string | undefined): string {
  const to = words.startsWith('export') ? ' --to ./saved' : '';
  if (dir === undefined) return to;
  const path = resolve(dir);
  const quoted = /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return to === '' ? ` --store ${quoted}` : ` ${quoted}${to}`;
}

function sumOf(collections: readonly CollectionStatistics[]): number {
  return collections.reduce((sum, { records }) => sum + records, 0);
}

function hasNoServer(store: string, kind: string): SyncAgentError {
  return new SyncAgentError(
    'USAGE',
    `Cannot ask a server of "${store}": it is a store of the kind "${kind}"`,
    {
      remedy: 'Only a Chroma store has a server that can be asked',
    },
  );
}
