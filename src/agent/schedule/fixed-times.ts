import { Cron } from 'croner';
import { SyncAgentError, messageOf } from '../../platform/errors.ts';

/**
 * The first time that a cron expression names after an instant, milliseconds since the epoch; null when there is none.
 * Five fields, or six with seconds, in this host's time zone (`TZ`). USAGE for anything else.
 */
export function fixedTimes(expression: string): (afterMs: number) => number | null {
  try {
    const cron = new Cron(expression, { paused: true });
    return (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null;
  } catch (error) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot use "${expression}" as a cron expression: ${messageOf(error)}`,
      {
        remedy: 'Give minute, hour, day of the month, month and day of the week, such as "30 3 * * *"',
        cause: error,
      },
    );
  }
}
