import { messageOf } from '../../platform/errors.ts';
import { readDrillRecord, writeDrillRecord } from '../../home/records/drill-record.ts';
import type { Context } from '../context.ts';
import type { DrillReport } from './drill-report.ts';

/** Kept of each list and sentence: the record is read at each look of a status page. */
const most = { problems: 10, text: 500 } as const;

/** Writes what a drill found into the home. `live`: the ids of the snapshots that there are, if that is known. If that cannot be written, it is a warning. */
export async function rememberDrill(
  { remote: { location }, home, fs, clock, emit }: Context,
  { type, snapshot, chosen, records, problems, recovery, server, tookMs }: DrillReport,
  live: readonly string[] | undefined,
): Promise<void> {
  const before = await readDrillRecord(home, location);
  const atMs = clock.now();
  const passed = type === 'passed';
  const drilled = { ...before?.drilled, ...(snapshot === null ? {} : { [snapshot]: atMs }) };
  try {
    await writeDrillRecord(
      fs,
      { home, location },
      {
        last: {
          atMs,
          passed,
          snapshot,
          chosen,
          records,
          problems: problems.slice(0, most.problems).map(({ message }) => message.slice(0, most.text)),
          recovery: recovery?.message.slice(0, most.text) ?? null,
          server: server.state,
          tookMs,
        },
        passedAtMs: passed ? atMs : (before?.passedAtMs ?? null),
        drilled: Object.fromEntries(Object.entries(drilled).filter(([id]) => live?.includes(id) !== false)),
      },
    );
  } catch (error) {
    emit({ type: 'warning', code: 'NOTICE', message: `Cannot remember the drill: ${messageOf(error)}` });
  }
}
