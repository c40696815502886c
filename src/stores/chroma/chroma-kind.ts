import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sqliteFiles } from '../sqlite/sqlite-file.ts';
import type { StoreKind } from '../store-kind.ts';
import {
  hasPersistedIndex,
  indexFiles,
  unfinishedIndexes,
  unpersistedIndexFiles,
} from './unfinished-indexes.ts';

const database = 'chroma.sqlite3';
/** Stands for all collections: an index that is made tomorrow must be in the backup of tomorrow. */
const someIndex = '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9';

/** A ChromaDB data directory, of any version since 0.4, also one that lost its database. */
export const chromaKind = {
  name: 'chroma',
  detect: async (dir) =>
    (await stat(join(dir, database)).catch(() => undefined))?.isFile() === true ||
    (await hasPersistedIndex(dir)),
  inspect: async (dir, options) => (await import('./inspect-chroma.ts')).inspectChroma(dir, options),
  openRecords: async (dir, options) =>
    (await import('./records/open-record-source.ts')).openRecordSource(dir, options),
  inspectBlocks: true,
  inspectsArriving: true,
  findDatabases: sqliteFiles,
  databasesAmong: (paths) => paths.filter((path) => path === database),
  unfinishedWrites: unfinishedIndexes,
  allotted: unpersistedIndexFiles,
  needs: [
    { path: database, why: 'it is the database of the store' },
    ...['-wal', '-journal'].map((end) => ({
      path: database + end,
      why: `"${database}" is incomplete without it`,
    })),
    ...indexFiles.map((name) => ({
      path: `${someIndex}/${name}`,
      why: 'the vector indexes need such files',
    })),
  ],
  mainFile: database,
  remedyForTwoServers: 'Stop all but one: two servers on one directory lose vectors',
  reading: {
    assertKnown: async (dir, { scratch }) =>
      (await import('./schema-version.ts')).assertKnownDatabase(join(dir, database), database, scratch),
    describe: async (dir, options) =>
      (await import('./describe/describe-chroma.ts')).describeChroma(dir, options),
    checkServer: async (address, options) =>
      (await import('./server/check-server.ts')).checkChromaServer(address, options),
    mendedBy: {
      database: 'export --salvage',
      schema: 'restore --force',
      'vector-index': 'repair',
      'full-text': 'repair',
      index: 'repair',
      'unused-pages': 'maintain',
    },
  },
  operationLog: async () => (await import('./log/queue-log.ts')).queueLog,
  mending: {
    planRepair: async (dir, options) =>
      (await import('./mending/mend-chroma.ts')).planChromaRepair(dir, options),
    repair: async (dir, step, options) =>
      (await import('./mending/mend-chroma.ts')).repairChroma(dir, step, options),
    estimateMaintenance: async (dir, { scratch }) =>
      (await import('./mending/maintain-chroma.ts')).estimateMaintenance(dir, scratch),
    maintain: async (dir, options) =>
      (await import('./mending/maintain-chroma.ts')).maintainChroma(dir, options),
  },
  drilling: {
    findServer: async (command, options) =>
      (await import('./drill/find-server.ts')).findServer(command, options),
    startServer: async (dir, server, options) =>
      (await import('./drill/trial-server.ts')).startTrialServer(dir, server, options),
    damage: async (dir, kind) => (await import('./drill/damage-store.ts')).damageChroma(dir, kind),
  },
  habits: {
    directories: ['chroma', 'chroma_data', 'chroma-data', '.chroma'],
    variables: [
      'CHROMA_DB',
      'CHROMA_PATH',
      'CHROMA_DB_PATH',
      'PERSIST_DIRECTORY',
      'CHROMA_PERSIST_DIRECTORY',
    ],
    matches: (names) => names.includes(database),
  },
} as const satisfies StoreKind;
