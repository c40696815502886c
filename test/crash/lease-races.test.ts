import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListPage, Remote } from '../../src/remotes/remote.ts';
import { parseLeaseKey } from '../../src/log/layout.ts';
import { leaseRaces, runLeaseRace } from '../support/lease-race.ts';
import type { LeaseMutant } from '../support/lease-race.ts';
import { passThrough } from '../support/race.ts';

const schedules = Number(process.env['SYNC_AGENT_TEST_SCHEDULES'] ?? 1000);

const property = (mutant?: LeaseMutant) =>
  fc.asyncProperty(leaseRaces, fc.scheduler(), (race, scheduler) => runLeaseRace(race, scheduler, mutant));

const withPages = (store: Remote, change: (page: ListPage, prefix: string) => ListPage): Remote => ({
  ...passThrough(store),
  async *list(prefix, options) {
    for await (const page of store.list(prefix, options)) yield change(page, prefix);
  },
});

/** Each takes one guard of the protocol away. If the suite does not notice, it proves nothing. */
const mutants: Readonly<Record<string, LeaseMutant & { readonly symptom: RegExp }>> = {
  'a lease were renewed without create-only': {
    symptom: /was written twice/,
    remote: (store) => ({
      ...passThrough(store),
      put: (key, body, options) =>
        store.put(key, body, parseLeaseKey(key) === undefined ? options : { ...options, ifAbsent: false }),
    }),
  },
  'commits did not carry the epoch of their lease': {
    symptom: /hides/,
    forgetsEpoch: true,
  },
  'readers chose by generation': {
    symptom: /hides/,
    choose: (entries) => entries.toSorted((a, b) => a.generation - b.generation).at(-1)!,
  },
  'leases expired by the clock of the host': {
    symptom: /before it was over|went on waiting/,
    remote: (store, now) => withPages(store, (page) => ({ ...page, serverTime: new Date(now()) })),
  },
  'a host did not look again after creating a number': {
    symptom: /believes to have lease|was not renewed|was given out again|did not have/,
    remote: (store) => {
      let created: number | undefined;
      const blind = withPages(store, (page, prefix) => {
        const last = created;
        if (prefix !== 'leases/' || last === undefined) return page;
        created = undefined;
        return { ...page, objects: page.objects.filter(({ key }) => (parseLeaseKey(key) ?? 0) <= last) };
      });
      return {
        ...blind,
        put: async (key, body, options) => {
          const result = await store.put(key, body, options);
          created = parseLeaseKey(key);
          return result;
        },
      };
    },
  },
  'the sweep took the highest number too': {
    symptom: /was given out again|did not have/,
    remote: (store) => ({
      ...passThrough(store),
      remove: async (keys, options) => {
        const last = Math.max(0, ...keys.map((key) => parseLeaseKey(key) ?? 0));
        const rest: string[] = [];
        if (last > 0)
          for await (const { objects } of store.list('leases/')) rest.push(...objects.map(({ key }) => key));
        await store.remove([...keys, ...rest], options);
      },
    }),
  },
};

describe('hosts that hand a lease over', () => {
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
      expect(String(errorInstance)).toMatch(mutant.symptom);
    }, 300_000);
  }
});
