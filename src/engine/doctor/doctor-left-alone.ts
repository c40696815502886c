import { SyncAgentError } from '../../platform/errors.ts';
import { assertExclusionsFitStore } from '../../stores/content/exclusions-fit.ts';
import { noExclusions } from '../../stores/content/exclusions.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { LeftAlone } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { failed } from './doctor-local.ts';

/** What in the store is no content: by the user's patterns, and by itself. None when there is neither. */
export async function checkLeftAlone(context: Context): Promise<readonly DoctorCheck[]> {
  const { home, detectAdapter } = context;
  const { store, exclude = noExclusions } = home;
  try {
    await assertExclusionsFitStore(store, { detectAdapter, exclude });
    const { leftAlone } = await scanStore(store, exclude).catch(() => ({ leftAlone: [] }));
    const foreign = leftAlone.filter(({ pattern }) => pattern === undefined);
    return [
      ...exclude.map((pattern) => describePattern(pattern, leftAlone)),
      ...(foreign.length === 0
        ? []
        : [
            { name: 'left alone', status: 'ok' as const, detail: `${namesOf(foreign)}: not the store's own` },
          ]),
    ];
  } catch (error) {
    if (!(error instanceof SyncAgentError) || error.code === 'INTERRUPTED') throw error;
    return [failed('exclude', error)];
  }
}

function describePattern(pattern: string, leftAlone: readonly LeftAlone[]): DoctorCheck {
  // A directory is there besides its entries where it holds nothing else.
  const matched = leftAlone.filter(
    (each) => each.pattern === pattern && !leftAlone.some(({ path }) => path.startsWith(`${each.path}/`)),
  );
  const detail = matched.length === 0 ? 'matches nothing at present' : `leaves alone ${namesOf(matched)}`;
  return {
    name: 'exclude',
    status: 'ok',
    detail: `"${pattern}" ${pattern.startsWith('!') ? 'keeps what it matches' : detail}`,
  };
}

function namesOf(entries: readonly LeftAlone[]): string {
  const shown = entries.slice(0, 3).map(({ path }) => `"${path}"`);
  return `${shown.join(', ')}${entries.length > shown.length ? ` and ${entries.length - shown.length} more` : ''}`;
}
