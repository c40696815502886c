import { parseRemote } from '../../remotes/remote-url.ts';
import type { InitFacts, JsonObject } from './init-facts.ts';
import type { InitAnswers, InitPlan } from './plan-init.ts';

/** What is left for a person to do, one line each, in order. */
export function nextSteps(answers: InitAnswers, { prestart }: InitPlan, facts: InitFacts): readonly string[] {
  const has = (field: string, name: string): boolean => {
    const value = facts.manifest?.[field];
    return typeof value === 'object' && value !== null && (value as JsonObject)[name] !== undefined;
  };
  const restores = prestart.type !== 'none';
  return [
    ...(facts.manifest !== undefined && !has('dependencies', 'sync-agent') ? ['npm install sync-agent'] : []),
    ...(parseRemote(answers.remote).preparation ?? []),
    'npx sync-agent backup, now and then by cron: it may run while the application does',
    ...(restores && !has('scripts', 'start')
      ? ['Add a "start" script to package.json: "npm start" runs prestart before it']
      : []),
    restores
      ? 'Start the application by "npm start": the newest snapshot is restored first'
      : 'Before each start of the application: npx sync-agent restore && <what starts it>',
    'npx sync-agent status tells whether all is well',
  ];
}
