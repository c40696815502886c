import { createHash } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { Operation, RecordState, SlotState } from './history.ts';

const dimensions = 16;
const pageSize = 500;

export interface CollectionKind {
  /** The index is written, and the queue purged, after so many records; undefined: as Chroma has it. */
  readonly syncThreshold: number | undefined;
}

/** The plain API of a Chroma server. Any answer but a good one rejects. */
export class ServerCalls {
  readonly #root: string;
  /** Connections of its own: a server may not end while a client is connected. */
  readonly #agent = new Agent({ keepAlive: true });
  /** Of collections by name: they are called by their ids. */
  readonly #ids = new Map<string, string>();

  constructor(port: number) {
    this.#root = `http://127.0.0.1:${port}/api/v2/tenants/default_tenant/databases/default_database/collections`;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Carries out an operation on the collection that has this name now. */
  async carryOut(
    operation: Operation,
    name: string,
    kind: CollectionKind,
    signal: AbortSignal,
  ): Promise<void> {
    const call = (method: string, path: string, body: unknown): Promise<unknown> =>
      this.#call(method, path, body, signal);
    if (operation.type === 'create') {
      const { syncThreshold } = kind;
      const hnsw =
        syncThreshold === undefined
          ? {}
          : { sync_threshold: syncThreshold, batch_size: Math.max(2, Math.floor(syncThreshold / 2)) };
      const { id } = (await call('POST', '', {
        name: operation.name,
        metadata: { mark: operation.mark },
        configuration: { hnsw },
      })) as { id: string };
      this.#ids.set(operation.name, id);
      return;
    }
    const id = this.#ids.get(name) ?? (await this.#list(signal)).find((each) => each.name === name)?.id;
    if (id === undefined) throw new Error(`there is no collection "${name}"`);
    this.#ids.set(name, id);
    switch (operation.type) {
      case 'rename':
        await call('PUT', `/${id}`, { new_name: operation.name });
        this.#ids.delete(name);
        this.#ids.set(operation.name, id);
        return;
      case 'mark':
        await call('PUT', `/${id}`, { new_metadata: { mark: operation.mark } });
        return;
      case 'drop':
        await call('DELETE', `/${name}`, undefined);
        this.#ids.delete(name);
        return;
      case 'delete':
        await call('POST', `/${id}/delete`, { ids: operation.ids });
        return;
      default: {
        const { type, ids, version } = operation;
        await call('POST', `/${id}/${type}`, {
          ids,
          ...(type === 'update' ? {} : { embeddings: ids.map((each) => vectorOf(each, version)) }),
          documents: ids.map((each) => documentOf(each, version)),
          metadatas: ids.map((each) => ({ version, of: each })),
        });
      }
    }
  }

  /** All collections with all their records. A record that no writer can have written throws. */
  async readAll(): Promise<readonly NonNullable<SlotState>[]> {
    const signal = AbortSignal.timeout(120_000);
    const collections = [];
    for (const { id, name, metadata } of await this.#list(signal))
      collections.push({
        name,
        mark: Number(metadata?.['mark']),
        records: await this.#records(id, name, signal),
      });
    return collections;
  }

  async #records(id: string, name: string, signal: AbortSignal): Promise<Map<string, RecordState>> {
    const records = new Map<string, RecordState>();
    const include = ['embeddings', 'documents', 'metadatas'];
    const vectors: (readonly [string, readonly number[]])[] = [];
    for (let offset = 0; ; offset += pageSize) {
      const page = (await this.#call(
        'POST',
        `/${id}/get`,
        { limit: pageSize, offset, include },
        signal,
      )) as Page;
      page.ids.forEach((each, index) => {
        const vector = page.embeddings[index] ?? [];
        const [of = 0] = vector;
        const text = Number(page.metadatas[index]?.['version']);
        const isSound =
          vector.join() === vectorOf(each, of).join() &&
          page.documents[index] === documentOf(each, text) &&
          page.metadatas[index]?.['of'] === each;
        if (!isSound)
          throw new Error(`record ${each} of "${name}" mixes values: ${of}, ${page.documents[index]}`);
        if (records.has(each)) throw new Error(`record ${each} of "${name}" is there twice`);
        records.set(each, { vector: of, text });
        vectors.push([each, vector]);
      });
      if (page.ids.length < pageSize) break;
    }
    const count = (await this.#call('GET', `/${id}/count`, undefined, signal)) as number;
    if (count !== records.size)
      throw new Error(`"${name}" counts ${count} records and gives ${records.size}`);
    // The search is approximate: after many updates it misses a record now and then, also where no copy was ever made.
    const probes = [0, 0.3, 0.6, 0.9]
      .map((share) => vectors[Math.floor(share * vectors.length)])
      .filter((each) => each !== undefined);
    if (probes.length === 0) return records;
    const asked = {
      query_embeddings: probes.map(([, vector]) => vector),
      n_results: 10,
      include: ['distances'],
    };
    const { ids } = (await this.#call('POST', `/${id}/query`, asked, signal)) as { ids: string[][] };
    if (!probes.some(([of], index) => ids[index]?.includes(of) === true))
      throw new Error(
        `queries of "${name}" for the vectors of ${probes.map(([of]) => of).join(', ')} miss them all`,
      );
    return records;
  }

  async #list(signal: AbortSignal): Promise<readonly Listed[]> {
    return (await this.#call('GET', '?limit=1000', undefined, signal)) as Listed[];
  }

  async #call(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const asked = request(
        `${this.#root}${path}`,
        { method, signal, headers, agent: this.#agent },
        (answer) => {
          let all = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (all += chunk));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: all })).on('error', reject);
        },
      );
      asked.on('error', reject);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
    if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text.slice(0, 300)}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>> | null;
}

interface Page {
  readonly ids: readonly string[];
  readonly embeddings: readonly (readonly number[])[];
  readonly documents: readonly (string | null)[];
  readonly metadatas: readonly (Readonly<Record<string, unknown>> | null)[];
}

/** Exact in four bytes; says which version it is of. */
function vectorOf(id: string, version: number): readonly number[] {
  const digest = createHash('sha256').update(`${id} ${version}`).digest();
  return [version, ...digest.subarray(0, dimensions - 1)];
}

const documentOf = (id: string, version: number): string =>
  `document of ${id}, version ${version} `.repeat(4);
