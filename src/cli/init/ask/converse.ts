import { basename } from 'node:path';
import { plainStyle } from '../../../report/style.ts';
import { doctorLines } from '../../commands/setup/doctor.ts';
import { askAnswers } from './ask-answers.ts';
import type { FoundStore } from '../find-stores.ts';
import type { GivenAnswers } from '../given-answers.ts';
import type { InitFacts } from '../init-facts.ts';
import { unfit } from '../decision.ts';
import type { Decision, Examine } from '../decision.ts';
import { describePlan } from '../outcome.ts';
import { planInit } from '../plan-init.ts';
import type { InitAnswers } from '../plan-init.ts';
import type { Prompter } from './prompter.ts';

export interface Conversation {
  readonly given: GivenAnswers;
  readonly facts: InitFacts;
  readonly found: readonly FoundStore[];
  /** Tries answers out; undefined where that is not wanted. */
  readonly examine: Examine | undefined;
}

/** Asks until the answers work, or are to be kept although they do not. Rejects when the person gives up. */
export async function converse(
  prompter: Prompter,
  { given, facts, found, examine }: Conversation,
): Promise<Decision> {
  const name = nameFor(facts);
  let previous: InitAnswers | undefined;
  for (;;) {
    const answers: InitAnswers = await askAnswers(prompter, given, { facts, found, name, previous });
    const plan = planInit(answers, facts);
    if (examine !== undefined) prompter.announce('Trying it out');
    const report = await examine?.(answers);
    if (report !== undefined) prompter.tell('sync-agent doctor', doctorLines(report, plainStyle));
    previous = answers;
    if (report?.worst !== undefined) {
      const next = await afterFailure(prompter);
      if (next === 'stop') throw unfit(report.worst);
      if (next === 'change') continue;
    }
    prompter.tell('To be written', describePlan(plan, facts.cwd));
    if (await prompter.confirm('Write it?', true)) return { answers, plan, report };
  }
}

function afterFailure(prompter: Prompter): Promise<'change' | 'keep' | 'stop'> {
  return prompter.choose({
    message: 'Not everything works. What now?',
    options: [
      { value: 'change', label: 'Change the answers' },
      { value: 'keep', label: 'Keep them anyway', hint: 'the application may have other credentials' },
      { value: 'stop', label: 'Stop and write nothing' },
    ],
  });
}

/** What a prefix may be called: the package without its scope, or the directory. */
function nameFor({ manifest, cwd }: InitFacts): string {
  const name = manifest?.['name'];
  const own = typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : basename(cwd);
  return own.replace(/[^\w.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '');
}
