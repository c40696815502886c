import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textBody } from '../../src/remotes/body.ts';
import { readManifest } from '../../src/log/read-manifest.ts';
import { encodeManifest } from '../../src/log/manifest-text.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { commitKey, parseCommitKey } from '../../src/log/layout.ts';
import { passThrough, races, runRace } from '../support/race.ts';
import type { Mutant } from '../support/race.ts';
import { logOf } from '../support/log-of.ts';

const schedules = Number(process.env['SYNC_AGENT_TEST_SCHEDULES'] ?? 1000);

/** Numbers that are taken are tried in turn, with the manifest of the first try. */
function blindly(store: Remote): Remote {
  return {
    ...passThrough(store),
    put: async (key, body, options) => {
      let number = parseCommitKey(key);
      while (number !== undefined) {
        try {
          return await store.put(commitKey(number), body, options);
        } catch (error) {
          if (!isSyncAgentError(error, 'ALREADY_EXISTS')) throw error;
          number += 1;
        }
      }
      return store.put(key, body, options);
    },
  };
}

const property = (mutant?: Mutant) =>
  fc.asyncProperty(races, fc.scheduler(), (race, scheduler) => runRace(race, scheduler, mutant));

/** Each takes one guard of the protocol away. If the suite does not notice, it proves nothing. */
const never = new Date(8.64e15);
const mutants: Readonly<Record<string, Mutant>> = {
  'commits were not create-only': {
    remote: (store) => ({
      ...passThrough(store),
      put: (key, body, options) => store.put(key, body, { ...options, ifAbsent: false }),
    }),
  },
  'a backup never gave up': { startedAt: never },
  'rotation swept long after its commit': { committedAt: never },
  'a commit forgot the pins': {
    remote: (store) => ({
      ...passThrough(store),
      get: async (key, options) => {
        const { pins: _, ...manifest } = await readManifest(logOf(store), key, options);
        const text = encodeManifest(manifest);
        return {
          ...(await store.get(key, options)),
          body: textBody(text).open(),
          size: Buffer.byteLength(text),
        };
      },
    }),
  },
  'rotation kept no grace period': { rotationGraceMs: 2 },
  'a commit kept one snapshot too few': { keepLast: 1 },
  'a host took another number without reading the log again': { remote: blindly },
};

describe('hosts that race', () => {
  it(`keep every promise in ${schedules} interleavings of their store calls`, async () => {
    // What fails is printed with the seed and the path that repeat it.
    await fc.assert(property(), { numRuns: schedules });
  }, 900_000);

  for (const [name, mutant] of Object.entries(mutants)) {
    it(`would be caught if ${name}`, async () => {
      const { failed, errorInstance } = await fc.check(property(mutant), {
        numRuns: 20_000,
        endOnFailure: true,
      });
      expect(failed).toBe(true);
      expect(String(errorInstance)).toMatch(/broke the protocol/);
    }, 300_000);
  }
});
