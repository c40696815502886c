import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';

/** What these modules load at once, with themselves. */
function loadedBy(parts: readonly string[]): ReadonlyMap<string, string> {
  const dist = dirname(buildCli());
  const loaded = new Map<string, string>();
  const load = (name: string): void => {
    if (loaded.has(name)) return;
    const text = readFileSync(join(dist, name), 'utf8');
    loaded.set(name, text);
    for (const [, next = ''] of text.matchAll(/(?<=^|;)import(?:[^"();]*from)?"\.\/([^"]+)"/gm)) load(next);
  };
  for (const part of parts)
    for (const name of readdirSync(dist)) if (new RegExp(`^${part}-[0-9A-Z]{8}\\.js$`).test(name)) load(name);
  return loaded;
}

const start = ['main', 'commands', 'parse', 'carry-out', 'create-agent'];

it('every start loads what the agent needs in few files, however much is loaded later', () => {
  const { size } = loadedBy(start);
  expect(size).toBeGreaterThan(start.length);
  expect(size).toBeLessThan(40);
});

it('a start that asks S3 loads of the SDK only what it uses', () => {
  const more = [...loadedBy([...start, 's3-remote', 's3-client'])].filter(
    ([name]) => !loadedBy(start).has(name),
  );
  const length = more.reduce((sum, [, text]) => sum + text.length, 0);
  expect(length).toBeGreaterThan(100_000);
  // Whole, it has 0.7 MB more.
  expect(length).toBeLessThan(600_000);
});
