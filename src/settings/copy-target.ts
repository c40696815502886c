import { SyncAgentError } from '../platform/errors.ts';
import type { CopyTarget } from '../api/copy-operations.ts';
import { fileLayer } from './config-file.ts';
import { librarySettings } from './library-settings.ts';
import { parseLayer } from './parse-layer.ts';

/**
 * What `--to` and `--copy-to` name: a URL, which is reached with the same connection settings as the remote, or a config file with the remote, the
 * connection and the retention of the target.
 */
export async function copyTargetNamed(text: string, cwd: string): Promise<string | CopyTarget> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text;
  const layer = await fileLayer(cwd, text);
  const { remote, s3, history, ...rest } = librarySettings(layer === undefined ? {} : parseLayer(layer));
  if (remote === undefined) {
    throw new SyncAgentError('USAGE', `Cannot copy to what "${text}" says: it names no remote`, {
      remedy: 'Add "remote" to it, or name a URL',
    });
  }
  const { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepWithinMs, graceMs } = rest;
  const rules = { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepWithinMs, graceMs };
  const given = Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== undefined));
  return { remote, s3, history, ...given };
}
