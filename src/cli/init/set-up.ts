import { throwIfAborted } from '../../platform/errors.ts';
import { styleFor } from '../../report/style.ts';
import type { Invocation, Outcome } from '../commands/command.ts';
import { doctorLines } from '../commands/setup/doctor.ts';
import { converse } from './ask/converse.ts';
import { clackPrompter } from './ask/prompter.ts';
import type { Prompter } from './ask/prompter.ts';
import { completeAnswers } from './complete-answers.ts';
import { findStores } from './find-stores.ts';
import { givenAnswers } from './given-answers.ts';
import { readInitFacts } from './init-facts.ts';
import { outcomeOf } from './outcome.ts';
import { planInit } from './plan-init.ts';
import type { InitDecision } from './plan-init.ts';
import { checksFailed, tryAnswersWith } from './try-answers.ts';
import { writePlan } from './write-plan.ts';

/** Looks around, asks, tries the answers out, then writes. Nothing is written before everything is decided. */
export async function setUp(invocation: Invocation): Promise<Outcome> {
  const { flags, signal, config, say } = invocation;
  const cwd = process.cwd();
  const facts = await readInitFacts(cwd);
  const found = await findStores(cwd, process.env);
  const given = givenAnswers(invocation, facts, process.env);
  const tryAnswers = flags.has('skip-doctor') ? undefined : tryAnswersWith(config, signal);
  const prompter = flags.has('yes') ? undefined : await personAtTerminal(signal);

  const decide = async (): Promise<InitDecision> => {
    if (prompter !== undefined) return converse(prompter, { given, facts, found, tryAnswers });
    const answers = completeAnswers(given, facts, found);
    const plan = planInit(answers, facts);
    const report = await tryAnswers?.(answers);
    if (report?.worst === undefined) return { answers, plan, report };
    for (const line of doctorLines(report, styleFor(process.stderr, process.env))) say(line);
    throw checksFailed(report.worst);
  };
  const decision = await decide();
  throwIfAborted(signal, 'Setting up');
  await writePlan(decision.plan.writes);
  return outcomeOf(decision, facts);
}

/** Undefined if nobody can be asked. */
async function personAtTerminal(signal: AbortSignal): Promise<Prompter | undefined> {
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) return undefined;
  return clackPrompter(await import('@clack/prompts'), { input, output, signal });
}
