import { readdirSync } from 'node:fs';
import type { CollectionDescription, RecordSource, RecordSourceOptions } from '../../../record-source.ts';
import { hasIndexMetadata } from '../../index/persisted-index.ts';
import { salvageIndexVectors } from '../index-vectors.ts';
import { makeRecord } from '../stored-record.ts';

/** A vector of length 1 may be that of a cosine collection, whose length is lost with the settings of the collection. */
function lengthOf(vector: Float32Array): readonly string[] {
  const squares = vector.reduce((sum, value) => sum + value * value, 0);
  return Math.abs(squares - 1) < 1e-3 ? ['length'] : [];
}

/**
 * The records of a store that lost its database: ids and vectors, from the folders of its indexes. Nobody knows the names of the collections,
 * nor how they compare vectors: those of a cosine collection come with length 1.
 */
export function foldersSource(
  dir: string,
  { onLoss = () => undefined, onNotice = () => undefined }: Omit<RecordSourceOptions, 'scratch'>,
): RecordSource {
  const folders = readdirSync(dir, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && hasIndexMetadata({ dir, segmentId: entry.name }),
  );
  onNotice(
    `chroma.sqlite3 cannot be read at all: what is left are the ids and vectors of ${folders.length} vector indexes`,
  );
  const collections = folders.map(({ name }): CollectionDescription => ({
    id: name,
    name,
    tenant: 'default_tenant',
    database: 'default_database',
    dimension: null,
    space: null,
    metadata: null,
    configuration: null,
    schema: null,
  })); // prettier-ignore
  onLoss({
    collection: null,
    database: null,
    id: null,
    missing: ['collection'],
    message:
      'chroma.sqlite3 is lost: names and settings of collections, documents, metadata, and records that no index held yet',
  });
  const open = (segmentId: string) =>
    salvageIndexVectors({ dir, segmentId, space: 'l2', dimension: null, maxNeighbors: 16 });
  return {
    collections,
    count: async ({ id }) => {
      const index = open(id);
      index.close();
      return index.labels.size;
    },
    records: async function* ({ id: folder }) {
      const index = open(folder);
      try {
        for (const message of index.problems)
          onLoss({ collection: folder, database: null, id: null, missing: [], message });
        for (const [id, label] of index.labels) {
          const { vector, problem } = index.vectorOf(label);
          onLoss({
            collection: folder,
            database: null,
            id,
            missing: vector === null ? ['record'] : ['document', 'metadata', 'newer', ...lengthOf(vector)],
            message: problem ?? 'chroma.sqlite3 is lost',
          });
          if (vector !== null) yield makeRecord(id, vector, { texts: new Map() });
        }
      } finally {
        index.close();
      }
    },
    close: () => undefined,
  };
}
