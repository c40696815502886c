import { SyncAgentError } from '../../platform/errors.ts';
import { plainKind } from '../../stores/find-kind.ts';
import type { FoundStore } from './find-stores.ts';
import type { GivenAnswers } from './given-answers.ts';
import type { InitFacts } from './init-facts.ts';
import { existingConfig, foreignPrestart } from './plan-init.ts';
import type { ConfigPlace, InitAnswers } from './plan-init.ts';

/** The answers of a run that asks nobody. Throws an error that names the flag for a missing answer. */
export function completeAnswers(
  given: GivenAnswers,
  facts: InitFacts,
  found: readonly FoundStore[],
): InitAnswers {
  const place = existingConfig(facts);
  if (place !== undefined && !given.force) throw exists(place);
  return {
    store: given.store ?? onlyStore(found),
    remote: given.remote ?? missing('where to store the snapshots', '--remote s3://bucket/prefix'),
    settings: given.settings,
    configIn: placeFor(given.configIn, place),
    prestart: given.prestart ?? prestartByDefault(facts),
  };
}

/** Every later run would refuse a second config beside the first. */
export function placeFor(wanted: ConfigPlace | undefined, existing: ConfigPlace | undefined): ConfigPlace {
  if (existing === undefined || wanted === undefined || wanted === existing)
    return existing ?? wanted ?? 'file';
  throw new SyncAgentError('USAGE', `Cannot write a second config: ${nameOf(existing)} has one`, {
    remedy: `Use --config-in ${existing}, or remove it first`,
  });
}

export function exists(place: ConfigPlace): SyncAgentError {
  return new SyncAgentError('REFUSED', `Cannot set up: ${nameOf(place)} already has a config`, {
    remedy: 'Add --force to change it; settings that you do not name stay',
  });
}

function nameOf(place: ConfigPlace): string {
  return place === 'file' ? 'sync-agent.config.json' : 'package.json';
}

/** Takes databases only: a person must judge a directory that merely has a usual name. */
function onlyStore(found: readonly FoundStore[]): string {
  const best = found.filter(({ kind }) => kind === found[0]?.kind && kind !== plainKind.name);
  const [only, ...others] = best;
  if (only !== undefined && others.length === 0) return only.path;
  return missing(
    only === undefined
      ? 'which directory to back up; none was found'
      : `which of ${best.length} stores to back up`,
    only === undefined ? '--store DIR' : `--store with one of ${best.map(({ path }) => path).join(', ')}`,
  );
}

function prestartByDefault({ packageText, manifest }: InitFacts): boolean {
  if (packageText === undefined) return false;
  if (foreignPrestart(manifest) === undefined) return true;
  return missing(
    'whether to change the prestart script that package.json has',
    '--prestart to put "sync-agent restore &&" before it, or --no-prestart to leave it',
  );
}

function missing(what: string, flag: string): never {
  throw new SyncAgentError('USAGE', `Cannot set up without being told ${what}`, { remedy: `Add ${flag}` });
}
