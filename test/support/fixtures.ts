import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Real Chroma data directories: the Python-era ones by those versions, `chroma-1-a` by the server of npm chromadb
 * 3.5.0, stopped while quiet, and `chroma-1-b` the same directory some writes later.
 */
export type Fixture =
  'chroma-0.4.24' | 'chroma-0.5.5' | 'chroma-0.5.23' | 'chroma-0.6.3' | 'chroma-1-a' | 'chroma-1-b';

/** A directory remote, in `remote/`, that version 0.1.0 made: three snapshots of plain files, no copies of commits. */
export const oldRemote = 'remote-0.1.0';

/** Unpacks a fixture into `target`, which is made, or into a new directory below the system's temporary one. */
export function unpackFixture(name: Fixture | typeof oldRemote, target?: string): string {
  const dir = target ?? mkdtempSync(join(tmpdir(), `${name}-`));
  mkdirSync(dir, { recursive: true });
  const archive = new URL(`../fixtures/${name}.tar.gz`, import.meta.url);
  execFileSync('tar', ['-xzf', archive.pathname, '-C', dir]);
  return dir;
}

/** Every path below `dir` with its content, mode and, of files, modification time: equal only if nothing changed. */
export function fingerprintOf(dir: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const path of readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const stats = statSync(join(dir, path), { bigint: true });
    result[path] = stats.isFile()
      ? `${stats.mode} ${stats.size} ${stats.mtimeNs} ${createHash('sha256')
          .update(readFileSync(join(dir, path)))
          .digest('hex')}`
      : `${stats.mode}`;
  }
  return result;
}
