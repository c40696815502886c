import { relative, resolve } from 'node:path';
import { formatBytes, printable } from '../../../report/format.ts';
import { exists, placeFor } from '../complete-answers.ts';
import type { FoundStore } from '../find-stores.ts';
import type { GivenAnswers } from '../given-answers.ts';
import type { InitFacts } from '../init-facts.ts';
import { existingConfig, foreignPrestart } from '../plan-init.ts';
import type { ConfigPlace, InitAnswers, Scalar } from '../plan-init.ts';
import type { Prompter } from './prompter.ts';
import { askRemote } from './ask-remote.ts';

export interface AskOptions {
  readonly facts: InitFacts;
  readonly found: readonly FoundStore[];
  /** A name for the prefix in a bucket. */
  readonly name: string;
  /** Answers of the last round, if this is not the first: everything is asked again. */
  readonly previous?: InitAnswers | undefined;
}

const elsewhere = ':elsewhere';

/** Asks for what flags, environment and config did not say. REFUSED if an existing config may not be changed. */
export async function askAnswers(
  prompter: Prompter,
  given: GivenAnswers,
  { facts, found, name, previous }: AskOptions,
): Promise<InitAnswers> {
  const place = existingConfig(facts);
  if (place !== undefined && !given.force && previous === undefined) {
    const file = place === 'file' ? 'sync-agent.config.json' : 'package.json';
    if (!(await prompter.confirm(`${file} already has a config. Change it?`, false))) throw exists(place);
  }
  const isAgain = previous !== undefined;
  const store =
    isAgain || given.store === undefined
      ? await askStore(prompter, facts.cwd, found, previous?.store)
      : given.store;
  const remote = await remoteAnswers(prompter, given, { facts, name, previous, store });
  const configIn = isAgain ? previous.configIn : await askPlace(prompter, given, facts, place);
  const prestart = isAgain ? previous.prestart : await askPrestart(prompter, given, facts);
  return { store, ...remote, configIn, prestart };
}

async function askStore(
  prompter: Prompter,
  cwd: string,
  found: readonly FoundStore[],
  previous: string | undefined,
): Promise<string> {
  const choice =
    found.length === 0
      ? elsewhere
      : await prompter.choose<string>({
          message: 'Which directory should be backed up?',
          options: [
            ...found.map(({ path, kind, bytes }) => ({
              value: path,
              label: printable(relative(cwd, path).startsWith('..') ? path : `./${relative(cwd, path)}`),
              hint: `${kind}, ${formatBytes(bytes)}`,
            })),
            { value: elsewhere, label: 'Another directory' },
          ],
          initial: previous,
        });
  if (choice !== elsewhere) return choice;
  const answer = await prompter.ask({
    message: 'Directory of the database (it need not exist yet)',
    initial: previous ?? './chroma',
    judge: (text) => {
      if (text === '') return 'Enter a directory';
      return resolve(cwd, text) === cwd ? 'This is the directory of the application itself' : undefined;
    },
  });
  return resolve(cwd, answer);
}

async function remoteAnswers(
  prompter: Prompter,
  given: GivenAnswers,
  { facts, name, previous, store }: Omit<AskOptions, 'found'> & { readonly store: string },
): Promise<Pick<InitAnswers, 'remote' | 'settings'>> {
  if (previous === undefined && given.remote !== undefined) {
    return { remote: given.remote, settings: given.settings };
  }
  const before = previous ?? given;
  const textOf = (key: string): string | undefined =>
    before.settings[key] === undefined ? undefined : String(before.settings[key]);
  const answers = await askRemote(prompter, {
    cwd: facts.cwd,
    store,
    name,
    previous: { remote: before.remote, endpoint: textOf('s3.endpoint'), region: textOf('s3.region') },
  });
  const { 's3.endpoint': _endpoint, 's3.region': _region, ...others } = before.settings;
  const settings: Record<string, Scalar> = { ...others };
  if (answers.endpoint !== undefined) settings['s3.endpoint'] = answers.endpoint;
  if (answers.region !== undefined) settings['s3.region'] = answers.region;
  return { remote: answers.remote, settings };
}

async function askPlace(
  prompter: Prompter,
  given: GivenAnswers,
  { packageText }: InitFacts,
  existing: ConfigPlace | undefined,
): Promise<ConfigPlace> {
  if (given.configIn !== undefined || existing !== undefined || packageText === undefined)
    return placeFor(given.configIn, existing);
  return prompter.choose<ConfigPlace>({
    message: 'Where should the configuration be written?',
    options: [
      { value: 'file', label: 'sync-agent.config.json' },
      { value: 'package', label: 'package.json', hint: 'under "syncAgent"' },
    ],
  });
}

async function askPrestart(
  prompter: Prompter,
  given: GivenAnswers,
  { packageText, manifest }: InitFacts,
): Promise<boolean> {
  if (given.prestart !== undefined) return given.prestart;
  if (packageText === undefined) return false;
  const foreign = foreignPrestart(manifest);
  return prompter.confirm(
    foreign === undefined
      ? 'Restore before each "npm start" (a prestart script in package.json)?'
      : `Make the prestart script "sync-agent restore && ${printable(foreign)}"?`,
    true,
  );
}
