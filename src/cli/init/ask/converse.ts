import { basename } from 'node:path';
import { plainStyle } from '../../../report/style.ts';
import { doctorLines } from '../../commands/setup/doctor.ts';
import { askAnswers } from './ask-answers.ts';
import type { FoundStore } from '../find-stores.ts';
import type { GivenAnswers } from '../given-answers.ts';
import type { InitFacts } from '../init-facts.ts';
import { checksFailed } from '../try-answers.ts';
import type { TryAnswers } from '../try-answers.ts';
import { describePlan } from '../outcome.ts';
import { planInit } from '../plan-init.ts';
import type { InitDecision, InitAnswers } from '../plan-init.ts';
import type { Prompter } from './prompter.ts';

export interface Conversation {
  readonly given: GivenAnswers;
  readonly facts: InitFacts;
  readonly found: readonly FoundStore[];
  /** Undefined to skip that. */
  readonly tryAnswers: TryAnswers | undefined;
}

/** Asks until the answers work, or the person keeps them although they do not. Rejects if the person gives up. */
export async function converse(
  prompter: Prompter,
  { given, facts, found, tryAnswers }: Conversation,
): Promise<InitDecision> {
  const name = nameFor(facts);
  let previous: InitAnswers | undefined;
  for (;;) {
    const answers: InitAnswers = await askAnswers(prompter, given, { facts, found, name, previous });
    const plan = planInit(answers, facts);
    if (tryAnswers !== undefined) prompter.announce('Trying the answers out');
    const report = await tryAnswers?.(answers);
    if (report !== undefined) prompter.tell('sync-agent doctor', doctorLines(report, plainStyle));
    previous = answers;
    if (report?.worst !== undefined) {
      const next = await afterFailure(prompter);
      if (next === 'stop') throw checksFailed(report.worst);
      if (next === 'change') continue;
    }
    prompter.tell('Changes', describePlan(plan, facts.cwd));
    if (await prompter.confirm('Write these changes?', true)) return { answers, plan, report };
  }
}

function afterFailure(prompter: Prompter): Promise<'change' | 'keep' | 'stop'> {
  return prompter.choose({
    message: 'A check failed. What now?',
    options: [
      { value: 'change', label: 'Change the answers' },
      { value: 'keep', label: 'Keep them anyway', hint: 'the application may run with other credentials' },
      { value: 'stop', label: 'Stop and write nothing' },
    ],
  });
}

/** A name for the prefix: that of the package without its scope, or of the directory. */
function nameFor({ manifest, cwd }: InitFacts): string {
  const name = manifest?.['name'];
  const own = typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : basename(cwd);
  return own.replace(/[^\w.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '');
}
