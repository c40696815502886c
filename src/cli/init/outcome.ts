import { basename, relative } from 'node:path';
import { parseRemote } from '../../remotes/remote-url.ts';
import { facts as factLines, printable } from '../../report/format.ts';
import type { Outcome } from '../commands/command.ts';
import type { InitFacts, JsonObject } from './init-facts.ts';
import type { InitDecision, InitAnswers, InitPlan } from './plan-init.ts';

/** The result of the command: what was set up, and the next steps. */
export function outcomeOf({ answers, plan, report }: InitDecision, facts: InitFacts): Outcome {
  const steps = nextSteps(answers, plan, facts);
  const { writes, prestart, configFile } = plan;
  return {
    result: {
      type: 'initialised',
      store: answers.store,
      remote: answers.remote,
      config: configFile,
      prestart: prestart.type,
      written: writes.map(({ path }) => path),
      doctor: report ?? null,
      nextSteps: steps,
    },
    lines: [
      writes.length === 0
        ? 'Nothing to write: the files say so already'
        : `Wrote ${writes.map(({ path }) => relative(facts.cwd, path)).join(' and ')}`,
      ...factLines([
        ['store', printable(answers.store)],
        ['remote', printable(answers.remote)],
      ]),
      'Next steps',
      ...steps.map((step, index) => `  ${index + 1}. ${printable(step)}`),
    ],
  };
}

/** The plan for a person to agree to. */
export function describePlan({ writes, prestart, configFile }: InitPlan, cwd: string): readonly string[] {
  if (writes.length === 0) return ['Nothing: the files say so already'];
  const config = writes.find(({ path }) => path === configFile);
  return [
    ...(config === undefined
      ? []
      : [`${relative(cwd, configFile)}:`, ...indented(configText(config.after, configFile))]),
    ...(prestart.type === 'added' || prestart.type === 'extended'
      ? [`package.json: "prestart": ${JSON.stringify(prestart.script)}`]
      : []),
  ];
}

/** What a person has to do now, one line each, in order. */
export function nextSteps(answers: InitAnswers, { prestart }: InitPlan, facts: InitFacts): readonly string[] {
  const has = (field: string, name: string): boolean => {
    const value = facts.manifest?.[field];
    return typeof value === 'object' && value !== null && (value as JsonObject)[name] !== undefined;
  };
  const restores = prestart.type !== 'none';
  return [
    ...(facts.manifest !== undefined && !has('dependencies', 'sync-agent') ? ['npm install sync-agent'] : []),
    ...(parseRemote(answers.remote).preparation ?? []),
    'Run "npx sync-agent backup" regularly, for example by cron: the application may keep running',
    ...(restores && !has('scripts', 'start')
      ? ['Add a "start" script to package.json: "npm start" runs prestart before it']
      : []),
    restores
      ? 'Start the application with "npm start": it restores the newest snapshot first'
      : 'Start the application with: npx sync-agent restore && <start command>',
    'See whether all is well: npx sync-agent status',
  ];
}

/** Of package.json only our part. */
function configText(text: string, path: string): string {
  if (basename(path) !== 'package.json') return text.trimEnd();
  const { syncAgent } = JSON.parse(text.replace(/^\uFEFF/, '')) as { readonly syncAgent?: unknown };
  return JSON.stringify({ syncAgent }, null, 2);
}

function indented(text: string): readonly string[] {
  return text.split(/\r?\n/).map((line) => `  ${printable(line)}`);
}
