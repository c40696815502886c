import { SyncAgentError } from '../platform/errors.ts';
import type { InspectOptions, StoreAdapter } from './adapter.ts';
import type { Exclusions } from './content/exclusions.ts';
import { holdsNothing } from './content/holds-nothing.ts';
import { kindNamed, kinds, plainKind } from './find-kind.ts';
import { inspectStore } from './inspect.ts';
import { mendInThread } from './mend-in-thread.ts';
import type { CaptureKind, StoreKind } from './store-kind.ts';

/** The adapter of a kind that a snapshot or a setting names. It leaves `exclude` alone in every call. */
export function adapterNamed(name: string, exclude?: Exclusions): StoreAdapter {
  const kind = kindNamed(name);
  if (kind === undefined) {
    const names = kinds.map((each) => each.name).join(', ');
    throw new SyncAgentError(
      'TOO_NEW',
      `Cannot work with a store of the kind "${name}": known are ${names}`,
      {
        remedy: 'Install the newest sync-agent on this host',
      },
    );
  }
  return adapterOf(kind, exclude);
}

/** The adapter of the first kind in the registry that recognises `dir`. */
export async function detectAdapter(dir: string, exclude?: Exclusions): Promise<StoreAdapter> {
  for (const kind of kinds) if (await kind.detect(dir, exclude)) return adapterOf(kind, exclude);
  return adapterOf(plainKind, exclude);
}

function adapterOf(kind: StoreKind, exclude: Exclusions | undefined): StoreAdapter {
  const { name, remedyForTwoServers } = kind;
  const captureKind: CaptureKind = {
    findDatabases: async (dir, scan) => kind.findDatabases?.(dir, scan) ?? [],
    unfinishedWrites: (files, nowMs, unfinishedMs) =>
      kind.unfinishedWrites?.(files, nowMs, unfinishedMs) ?? { active: [], stalled: [] },
  };
  const leavingAlone = <T extends Pick<InspectOptions, 'exclude'>>(options: T): T =>
    exclude === undefined || exclude.length === 0 ? options : { ...options, exclude };
  const inspect: StoreAdapter['inspect'] = (dir, options) => inspectStore(kind, dir, leavingAlone(options));
  return {
    name,
    remedyForTwoServers,
    hasReadersFiles: async (dir) => {
      const { hasReadersFiles } = await import('./sqlite/readers-files.ts');
      return hasReadersFiles(dir, captureKind, exclude);
    },
    operationLog: kind.operationLog,
    reading: kind.reading,
    detect: (dir) => kind.detect(dir, exclude),
    capture: async (dir, target, options) => {
      const { capture } = await import('./capture/capture.ts');
      return capture(dir, target, captureKind, leavingAlone(options));
    },
    lookAtRest: async (dir, options) => {
      const { lookAtRest } = await import('./capture/at-rest.ts');
      return lookAtRest(dir, captureKind, leavingAlone(options));
    },
    inspect,
    holdsNothing: (dir, options) =>
      holdsNothing(dir, {
        ...leavingAlone(options),
        inspect: () => inspect(dir, { ...options, level: 'quick' }),
        allotted: (files) => kind.allotted?.(files) ?? [],
      }),
    openRecords: kind.openRecords,
    databasesAmong: (paths) => kind.databasesAmong?.(paths) ?? [],
    drilling: kind.drilling,
    mending: kind.mending === undefined ? undefined : mendInThread(name, leavingAlone),
  };
}
