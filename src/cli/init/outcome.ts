import { basename, relative } from 'node:path';
import { facts as factLines, printable } from '../../report/format.ts';
import type { Outcome } from '../commands/command.ts';
import type { Decision } from './decision.ts';
import type { InitFacts } from './init-facts.ts';
import { nextSteps } from './next-steps.ts';
import type { InitPlan } from './plan-init.ts';

/** What was set up, and what is left to do. */
export function outcomeOf({ answers, plan, report }: Decision, facts: InitFacts): Outcome {
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
        ? 'Nothing to write: it says so already'
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
  if (writes.length === 0) return ['Nothing: it says so already'];
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

/** Of package.json only what is ours. */
function configText(text: string, path: string): string {
  if (basename(path) !== 'package.json') return text.trimEnd();
  const { syncAgent } = JSON.parse(text.replace(/^\uFEFF/, '')) as { readonly syncAgent?: unknown };
  return JSON.stringify({ syncAgent }, null, 2);
}

function indented(text: string): readonly string[] {
  return text.split(/\r?\n/).map((line) => `  ${printable(line)}`);
}
