import { SyncAgentError } from '../platform/errors.ts';
import type { Layer } from './parse-layer.ts';
import { environmentPrefix, variableOf } from './setting.ts';
import { settingKeys } from './settings.ts';
import { suggestion } from './suggest.ts';

/** Names the config file. It is not a setting itself. */
export const configVariable = `${environmentPrefix}CONFIG`;

/** Set for the commands that hooks run. */
export const inHookVariable = `${environmentPrefix}IN_HOOK`;

/** The password of archives. Not a setting: it is written nowhere. */
export const archivePasswordVariable = `${environmentPrefix}ARCHIVE_PASSWORD`;

/** Tells the command of a rebuild where to build. */
export const buildDirVariable = `${environmentPrefix}BUILD_DIR`;

/** Other variables with our prefix: of hooks, of supervised commands, of this project's tests and development. */
const foreign = /^SYNC_AGENT_(IN_HOOK|ARCHIVE_PASSWORD|BUILD_DIR|RUN_ID|WITHIN|TEST_.*|GLIBC_DIR)$/;

/** The settings in `SYNC_AGENT_*`. An empty variable counts as unset. Throws USAGE for an unknown one. */
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
    assertBare(name, text ?? '');
    values[key] = text?.replace(/[\r\n]+$/, '');
  }
  return { values, nameOf: variableOf };
}

/** Env files of Docker and systemd units keep quotes that a shell would remove. */
function assertBare(name: string, text: string): void {
  if (!/^(["']).*\1$/s.test(text)) return;
  throw new SyncAgentError('USAGE', `Cannot use the environment variable ${name}: its value is in quotes`, {
    remedy: 'Remove the quotes: env files keep them',
  });
}
