import type { LogEntry } from '../../log/manifest.ts';
import type { DrillRecord } from '../../home/records/drill-record.ts';
import { chooseSnapshot, noSuchSnapshot } from '../history/choose-snapshot.ts';
import type { ChosenBecause } from './drill-report.ts';

export interface DrillChoice {
  /** As for a restore. */
  readonly snapshot?: string | undefined;
  /** Take turns: the newest, then the one that was drilled longest ago. */
  readonly sample?: boolean | undefined;
}

export interface Chosen {
  readonly entry: LogEntry;
  readonly chosen: ChosenBecause;
}

/**
 * The snapshot to drill: the one that is named, else the newest that a restore would take by itself. With `sample` each second drill takes
 * the snapshot that this host drilled longest ago, or never, so that all are drilled in time. NOT_FOUND if there is none.
 */
export function chooseDrilled(
  entries: readonly LogEntry[],
  { snapshot, sample = false }: DrillChoice,
  record: DrillRecord | undefined,
): Chosen {
  if (snapshot !== undefined) return { entry: chooseSnapshot(entries, snapshot), chosen: 'named' };
  const sound = entries.filter(({ damaged }) => damaged !== true);
  const newest = sound.at(-1);
  if (newest === undefined) throw noSuchSnapshot('latest', sound);
  if (!sample || record?.last.chosen !== 'newest') return { entry: newest, chosen: 'newest' };
  const drilledAt = ({ id }: LogEntry): number => record.drilled[id] ?? -Infinity;
  const [leastRecent] = sound
    .slice(0, -1)
    .toReversed()
    .toSorted((a, b) => (drilledAt(a) === drilledAt(b) ? 0 : drilledAt(a) - drilledAt(b)));
  return leastRecent === undefined
    ? { entry: newest, chosen: 'newest' }
    : { entry: leastRecent, chosen: 'least-recent' };
}
