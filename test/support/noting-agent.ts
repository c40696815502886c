import type { ProtectOptions, ProtectedWork } from '../../src/api/protecting.ts';

/** Notes what it is asked to protect, and does it. */
export function notingAgent() {
  const calls: (readonly [string, ProtectOptions])[] = [];
  return {
    calls,
    protect: async <T>(name: string, work: ProtectedWork<T>, options: ProtectOptions = {}): Promise<T> => {
      calls.push([name, options]);
      return work({ snapshot: null, signal: undefined, operations: [] });
    },
  };
}
