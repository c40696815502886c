import { flagOf, variableOf } from '../../settings/registry.ts';
import { fixedTimes } from '../../agent/schedule/fixed-times.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { redactText } from '../../report/redact.ts';
import type { Scalar } from './plan-init.ts';

const hooks = ['hookBeforeBackup', 'hookAfterBackup', 'hookBeforeRestore', 'hookAfterRestore'];

/** Throws USAGE for settings that hold a credential, which it does not repeat, or that no later run would accept. */
export function assertWritable(settings: Readonly<Record<string, Scalar>>): void {
  const { 's3.endpoint': endpoint, httpToken, cron } = settings;
  if (typeof endpoint === 'string' && /\/\/[^/]*@/.test(endpoint)) {
    throw new SyncAgentError(
      'USAGE',
      'Cannot write the endpoint into a config: there is a credential in it',
      {
        remedy: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use ~/.aws',
      },
    );
  }
  if (httpToken !== undefined) throw secret('httpToken', 'it is a credential');
  for (const key of hooks) {
    const hook = settings[key];
    if (typeof hook === 'string' && hasCredential(hook)) throw secret(key, 'there is a credential in it');
  }
  if (typeof cron === 'string') fixedTimes(cron);
}

/** In a command a variable may stand for one: `http://$USER:$PASSWORD@host`. */
function hasCredential(hook: string): boolean {
  const text = hook.trim();
  return /^https?:/i.test(text) ? redactText(text) !== text : /:\/\/[^\s/@"'$]+@/.test(text);
}

function secret(key: string, why: string): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot write --${flagOf(key)} into a config: ${why}`, {
    remedy: `Set ${variableOf(key)} in the environment instead`,
  });
}
