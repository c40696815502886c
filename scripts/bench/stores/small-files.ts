import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from '../../../test/support/records.ts';
import { cached } from './cached.ts';

/** A directory tree of so many files of 100 to 3,000 bytes, one hundred in a folder. */
export async function makeSmallFiles(count: number, say: (line: string) => void): Promise<string> {
  const dir = await cached('files', count, async (work) => {
    say(`making ${count} small files; this happens once`);
    writeSmallFiles(join(work, 'store'), count, 3000);
  });
  return join(dir, 'store');
}

/** Adds files of at most `maxBytes` to `dir`; each has its own content. */
export function writeSmallFiles(dir: string, count: number, maxBytes: number): void {
  const random = randomFrom(count);
  const body = Buffer.from(Array.from({ length: maxBytes }, () => Math.floor(random() * 256)));
  for (let index = 0; index < count; index += 1) {
    const folder = join(dir, `folder-${Math.floor(index / 100)}`);
    if (index % 100 === 0) mkdirSync(folder, { recursive: true });
    body.writeUInt32LE(index, 0);
    writeFileSync(
      join(folder, `file-${index}`),
      body.subarray(0, 100 + Math.floor(random() * (maxBytes - 99))),
    );
  }
}
