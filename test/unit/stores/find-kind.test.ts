import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { storeIdentity } from '../../../src/stores/content/fingerprint.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import { isSimplerKind, kinds, plainKind } from '../../../src/stores/find-kind.ts';

describe('the kinds of store', () => {
  it('have names that a manifest takes, each its own', () => {
    const names = kinds.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]{0,31}$/);
  });

  it('end with the one that takes every directory', async () => {
    expect(plainKind.name).toBe('files');
    expect(await plainKind.detect('/')).toBe(true);
  });

  it.each([
    ['files', 'sqlite', true],
    ['sqlite', 'chroma', true],
    ['files', 'chroma', true],
    ['chroma', 'sqlite', false],
    ['sqlite', 'sqlite', false],
    // Of what nobody here knows, nothing is simpler.
    ['files', 'future', false],
  ])('%s is simpler than %s: %s', (name, than, expected) => {
    expect(isSimplerKind(name, than)).toBe(expected);
  });

  it('that this version does not know are named', () => {
    expect(() => adapterNamed('future')).toThrow(
      expect.objectContaining({
        code: 'TOO_NEW',
        message: expect.stringMatching(/"future".*chroma, sqlite, files/) as string,
      }),
    );
  });
});

it('the identity of a store is as older versions recorded it: its directory, and the main file of Chroma', async () => {
  const store = await mkdtemp(join(tmpdir(), 'sync-agent-identity-'));
  try {
    expect(await storeIdentity(store)).toMatch(/^\d+:\d+:\d+ -$/);
    await writeFile(join(store, 'chroma.sqlite3'), '');
    expect(await storeIdentity(store)).toMatch(/^\d+:\d+:\d+ \d+:\d+:\d+$/);
  } finally {
    await rm(store, { recursive: true });
  }
});
