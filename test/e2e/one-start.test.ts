import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';

it('every start loads what the agent needs in few files, however much is loaded later', () => {
  const dist = dirname(buildCli());
  const loaded = new Set<string>();
  const load = (name: string): void => {
    if (loaded.has(name)) return;
    loaded.add(name);
    const text = readFileSync(join(dist, name), 'utf8');
    for (const [, next = ''] of text.matchAll(/(?<=^|;)import(?:[^"();]*from)?"\.\/([^"]+)"/gm)) load(next);
  };
  const parts = ['main', 'commands', 'parse', 'carry-out', 'create-agent'];
  for (const part of parts)
    for (const name of readdirSync(dist)) if (new RegExp(`^${part}-[0-9A-Z]{8}\\.js$`).test(name)) load(name);
  expect(loaded.size).toBeGreaterThan(parts.length);
  expect(loaded.size).toBeLessThan(40);
});
