import { SyncAgentError } from '../errors.ts';
import type { Layer } from './schema.ts';
import { environmentPrefix, settingKeys, variableOf } from './settings.ts';
import { suggestion } from './suggest.ts';

/** Names the config file; not a setting itself. */
export const configVariable = `${environmentPrefix}CONFIG`;

/** Set for the commands that hooks run. */
export const inHookVariable = `${environmentPrefix}IN_HOOK`;

/** Variables that are no settings: those of hooks and supervised commands, of this project's tests and development. */
const foreign = /^SYNC_AGENT_(IN_HOOK|RUN_ID|TEST_.*|GLIBC_DIR)$/;

/** The settings in `SYNC_AGENT_*`; an empty variable counts as unset. Throws USAGE for one that means nothing. */
export function environmentLayer(env: Readonly<NodeJS.ProcessEnv>): Layer {
  const keys = new Map(settingKeys.map((key) => [variableOf(key), key]));
  const values: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(environmentPrefix) || name === configVariable || foreign.test(name) || text === '')
      continue;
    const key = keys.get(name);
    if (key === undefined) {
      throw new SyncAgentError(
        'USAGE',
        `Cannot use the environment variable ${name}: there is no such setting`,
        {
          remedy: suggestion(
            name,
            [...keys.keys(), configVariable],
            'Unset it; "sync-agent --help" lists the settings',
          ),
        },
      );
    }
    values[key] = text;
  }
  return { values, nameOf: variableOf };
}
