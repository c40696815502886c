import { flagOf, variableOf } from '../../settings/setting.ts';
import { settingKeys, settingNamed } from '../../settings/settings.ts';
import { fixedTimes } from '../../agent/schedule/fixed-times.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { redactText } from '../../report/redact.ts';
import type { Scalar } from './plan-init.ts';

/** Throws USAGE for settings that hold a credential, which the message does not repeat, or that no later run would accept. */
export function assertWritable(settings: Readonly<Record<string, Scalar>>): void {
  const { 's3.endpoint': endpoint, cron } = settings;
  if (typeof endpoint === 'string' && /\/\/[^/]*@/.test(endpoint)) {
    throw new SyncAgentError(
      'USAGE',
      'Cannot write the endpoint into a config: there is a credential in it',
      {
        remedy: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use ~/.aws',
      },
    );
  }
  for (const key of settingKeys) {
    const value = settings[key];
    const { secrecy } = settingNamed(key);
    if (value === undefined || secrecy === undefined) continue;
    if (secrecy === 'credential') throw secret(key, 'it is a credential');
    if (hasCredential(String(value))) throw secret(key, 'there is a credential in it');
  }
  if (typeof cron === 'string') fixedTimes(cron);
}

/** A command may name a variable instead: `http://$USER:$PASSWORD@host`. */
function hasCredential(hook: string): boolean {
  const text = hook.trim();
  return /^https?:/i.test(text) ? redactText(text) !== text : /:\/\/[^\s/@"'$]+@/.test(text);
}

function secret(key: string, why: string): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot write --${flagOf(key)} into a config: ${why}`, {
    remedy: `Set ${variableOf(key)} in the environment instead`,
  });
}
