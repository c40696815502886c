import { createAgent } from '../../in-process/create-agent.ts';
import { agentSettings } from '../../settings/use-config.ts';
import type { Config } from '../../settings/settings.ts';
import { parseLayer } from '../../settings/parse-layer.ts';
import type { DoctorReport } from '../../engine/doctor/doctor.ts';
import { throwIfAborted } from '../../platform/errors.ts';
import { styleFor } from '../../report/style.ts';
import type { Invocation, Outcome } from '../commands/command.ts';
import { doctorLines } from '../commands/setup/doctor.ts';
import { completeAnswers } from './complete-answers.ts';
import { converse } from './ask/converse.ts';
import { unfit } from './decision.ts';
import type { Decision, Examine } from './decision.ts';
import { findStores } from './find-stores.ts';
import { givenAnswers } from './given-answers.ts';
import { readInitFacts } from './init-facts.ts';
import { outcomeOf } from './outcome.ts';
import { planInit } from './plan-init.ts';
import type { InitAnswers } from './plan-init.ts';
import type { Prompter } from './ask/prompter.ts';
import { writePlan } from './write-plan.ts';

/** Finds out, asks, tries, then writes. Nothing is written before everything is decided. */
export async function setUp(invocation: Invocation): Promise<Outcome> {
  const { flags, signal, config, say } = invocation;
  const cwd = process.cwd();
  const facts = await readInitFacts(cwd);
  const found = await findStores(cwd, process.env);
  const given = givenAnswers(invocation, facts, process.env);
  const examine: Examine | undefined = flags.has('skip-doctor')
    ? undefined
    : (answers) => runDoctor(config, answers, signal);
  const prompter = flags.has('yes') ? undefined : await personAtTerminal(signal);

  const decide = async (): Promise<Decision> => {
    if (prompter !== undefined) return converse(prompter, { given, facts, found, examine });
    const answers = completeAnswers(given, facts, found);
    const plan = planInit(answers, facts);
    const report = await examine?.(answers);
    if (report?.worst === undefined) return { answers, plan, report };
    for (const line of doctorLines(report, styleFor(process.stderr, process.env))) say(line);
    throw unfit(report.worst);
  };
  const decision = await decide();
  throwIfAborted(signal, 'Setting up');
  await writePlan(decision.plan.writes);
  return outcomeOf(decision, facts);
}

/** Undefined where nobody can be asked. */
async function personAtTerminal(signal: AbortSignal): Promise<Prompter | undefined> {
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) return undefined;
  const [clack, { clackPrompter }] = await Promise.all([
    import('@clack/prompts'),
    import('./ask/clack-prompter.ts'),
  ]);
  return clackPrompter(clack, { input, output, signal });
}

/** `doctor`, with the answers in the place of the settings. */
async function runDoctor(config: Config, answers: InitAnswers, signal: AbortSignal): Promise<DoctorReport> {
  const { 's3.endpoint': _endpoint, 's3.region': _region, ...others } = config;
  const { store, remote, settings } = answers;
  const tried = { ...others, ...parseLayer({ values: settings, nameOf: (key) => key }), store, remote };
  const agent = createAgent(agentSettings(tried));
  try {
    return await agent.doctor({ signal });
  } finally {
    await agent.close();
  }
}
