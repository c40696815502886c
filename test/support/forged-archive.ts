import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { BlobWriter, TextReader, ZipWriter } from '@zip.js/zip.js';
import { encodeNote, noteOf } from '../../src/engine/archives/archive-note.ts';
import { encodeManifest } from '../../src/log/manifest-text.ts';
import type { Manifest, ManifestFile } from '../../src/log/manifest.ts';

export interface ForgedEntry {
  readonly name: string;
  readonly text: string;
  readonly unixMode?: number;
}

export const fileOf = (path: string, text: string): ManifestFile => ({
  path,
  size: Buffer.byteLength(text),
  sha256: createHash('sha256').update(text).digest('hex'),
  mode: 0o644,
  mtimeMs: 0,
});

export const forgedManifest = (files: readonly ManifestFile[], more: Partial<Manifest> = {}): Manifest => ({
  format: 1,
  id: '2026-11-21T11-30-05.123Z-7f3a9c2e',
  generation: 1,
  parent: null,
  createdAt: '2026-11-21T11:30:05.123Z',
  uploadId: '0'.repeat(32),
  host: 'evil',
  agent: 'somebody',
  adapter: 'files',
  files: [...files],
  emptyDirectories: [],
  statistics: { records: files.length },
  stall: { heldMs: 0, longestHoldMs: 0 },
  log: [],
  resolved: [],
  ...more,
});

/** An archive that nobody's program would write. */
export async function forgeArchive(
  path: string,
  manifest: Manifest | string,
  entries: readonly ForgedEntry[],
  comment?: string,
): Promise<void> {
  const zip = new ZipWriter(new BlobWriter(), { useWebWorkers: false });
  for (const { name, text, unixMode } of entries)
    await zip.add(name, new TextReader(text), unixMode === undefined ? {} : { unixMode });
  const text = typeof manifest === 'string' ? manifest : encodeManifest(manifest);
  await zip.add('manifest.json', new TextReader(text));
  const about = {
    source: 'store',
    host: 'h',
    store: '/s',
    agent: 'a',
    archivedAt: '2026-11-21T12:00:00.000Z',
  } as const;
  const note =
    comment ?? encodeNote(noteOf(typeof manifest === 'string' ? forgedManifest([]) : manifest, about));
  const blob = await zip.close(Buffer.from(note));
  await writeFile(path, Buffer.from(await blob.arrayBuffer()));
}

/** The same file with every occurrence of one name replaced by another of the same length, as no library would write it. */
export function renamedEntries(zip: Buffer, from: string, to: string): Buffer {
  if (Buffer.byteLength(from) !== Buffer.byteLength(to)) throw new Error('names must have one length');
  return Buffer.from(zip.toString('latin1').replaceAll(from, to), 'latin1');
}
