import type { DoctorReport } from '../../engine/doctor/doctor.ts';
import { isAbsolute, join, relative, sep } from 'node:path';
import { placeKeys } from '../../settings/settings.ts';
import { configFileName } from '../../settings/config-file.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { parseRemote } from '../../remotes/remote-url.ts';
import { assertWritable } from './assert-writable.ts';
import { changeInJson, setInJson, styleOf } from './edit-json.ts';
import type { InitFacts, JsonObject } from './init-facts.ts';

export type ConfigPlace = 'file' | 'package';
export type Scalar = string | number | boolean;

export interface InitAnswers {
  /** Absolute. */
  readonly store: string;
  readonly remote: string;
  /** Further settings by key, such as `s3.endpoint`, as the config will have them. */
  readonly settings: Readonly<Record<string, Scalar>>;
  readonly configIn: ConfigPlace;
  /** Put a restore before each start into package.json. */
  readonly prestart: boolean;
}

export interface InitPlan {
  /** Files to write; a file that needs no change is not among them. */
  readonly writes: readonly FileWrite[];
  readonly configFile: string;
  readonly prestart: Prestart;
}

export interface FileWrite {
  readonly path: string;
  /** The text that the plan was made from; undefined when there was no file. */
  readonly before: string | undefined;
  readonly after: string;
}

export type Prestart =
  | { readonly type: 'added' | 'extended'; readonly script: string }
  /** It restores already. */
  | { readonly type: 'present'; readonly script: string }
  | { readonly type: 'none' };

/** What is to be done, and what trying the answers out showed; undefined if that was skipped. */
export interface InitDecision {
  readonly answers: InitAnswers;
  readonly plan: InitPlan;
  readonly report: DoctorReport | undefined;
}

const restoreCall = 'sync-agent restore';

/** Decides what to write, and writes nothing. Throws USAGE for answers that contradict each other or hold a credential. */
export function planInit(answers: InitAnswers, facts: InitFacts): InitPlan {
  parseRemote(answers.remote);
  assertWritable(answers.settings);
  const { cwd, packageText, configText } = facts;
  const packageFile = join(cwd, 'package.json');
  const configFile = answers.configIn === 'file' ? join(cwd, configFileName) : packageFile;
  const content = configOf(answers, facts);

  const present = presentConfig(facts);
  let edited = packageText;
  if (answers.configIn === 'package') {
    const text = need(edited, cwd);
    edited =
      present === undefined
        ? setInJson(text, ['syncAgent'], content)
        : changeInJson(text, ['syncAgent'], present, content);
  }
  const prestart = answers.prestart ? prestartOf(facts) : ({ type: 'none' } as const);
  if (prestart.type === 'added' || prestart.type === 'extended') {
    edited = setInJson(need(edited, cwd), ['scripts', 'prestart'], prestart.script, { before: 'start' });
  }
  const { indent, newline } = styleOf(packageText ?? '');
  const config =
    configText === undefined || present === undefined
      ? `${JSON.stringify(content, null, indent)}\n`.replaceAll('\n', newline)
      : changeInJson(configText, [], present, content);
  const writes = [
    ...(answers.configIn === 'file' ? [{ path: configFile, before: configText, after: config }] : []),
    ...(edited === undefined ? [] : [{ path: packageFile, before: packageText, after: edited }]),
  ];
  return { writes: writes.filter((write) => write.before !== write.after), configFile, prestart };
}

/** The present `prestart`, if there is one that does not restore yet. */
export function foreignPrestart(manifest: JsonObject | undefined): string | undefined {
  const script = prestartIn(manifest);
  return script === undefined || restores(script) ? undefined : script;
}

/** Where a config is already. */
export function existingConfig({ config, manifest }: InitFacts): ConfigPlace | undefined {
  if (config !== undefined) return 'file';
  return manifest?.['syncAgent'] === undefined ? undefined : 'package';
}

function prestartOf({ cwd, manifest, packageText }: InitFacts): Prestart {
  need(packageText, cwd);
  const script = prestartIn(manifest);
  if (script === undefined) return { type: 'added', script: restoreCall };
  if (restores(script)) return { type: 'present', script };
  return { type: 'extended', script: `${restoreCall} && ${script}` };
}

function prestartIn(manifest: JsonObject | undefined): string | undefined {
  const scripts = manifest?.['scripts'];
  const script =
    typeof scripts === 'object' && scripts !== null ? (scripts as JsonObject)['prestart'] : undefined;
  return typeof script === 'string' && script.trim() !== '' ? script : undefined;
}

function restores(script: string): boolean {
  return /\bsync-agent\s+(restore|sync)\b/.test(script);
}

function presentConfig({ config, manifest }: InitFacts): JsonObject | undefined {
  return config ?? (manifest?.['syncAgent'] as JsonObject | undefined);
}

/** The content of a config file. Settings that were not asked for stay; `s3.x` is `x` within `s3`. */
function configOf({ store, remote, settings }: InitAnswers, facts: InitFacts): JsonObject {
  const before = presentConfig(facts) ?? {};
  const flat: Record<string, unknown> = {
    store: shortPath(facts.cwd, store),
    remote: shortRemote(facts.cwd, remote),
  };
  for (const [key, value] of Object.entries(before)) {
    if (key === 's3' && typeof value === 'object' && value !== null) {
      for (const [name, each] of Object.entries(value)) flat[`s3.${name}`] ??= each;
    } else flat[key] ??= value;
  }
  // The remote was asked for: the server of the remote before is no longer meant.
  for (const key of placeKeys) if (key !== 'store' && key !== 'remote') delete flat[key];
  Object.assign(flat, settings);
  const entries = Object.entries(flat);
  const s3 = entries.flatMap(([key, value]) =>
    key.startsWith('s3.') ? [[key.slice(3), value] as const] : [],
  );
  return {
    ...Object.fromEntries(entries.filter(([key]) => !key.startsWith('s3.'))),
    ...(s3.length === 0 ? {} : { s3: Object.fromEntries(s3) }),
  };
}

/** `./chroma` for a path below the config, so that the directory can move as a whole; else the absolute path. */
function shortPath(cwd: string, path: string): string {
  const short = relative(cwd, path);
  if (isAbsolute(short) || short === '..' || short.startsWith(`..${sep}`)) return path;
  return `./${short.replaceAll(sep, '/')}`;
}

function shortRemote(cwd: string, remote: string): string {
  const { directory } = parseRemote(remote);
  if (directory === undefined) return remote.trim();
  const short = shortPath(cwd, directory);
  // The relative form is a plain path, not a URL.
  return short.startsWith('./') && short !== './' ? `file:${short}` : remote.trim();
}

function need(packageText: string | undefined, cwd: string): string {
  if (packageText !== undefined) return packageText;
  throw new SyncAgentError('USAGE', `Cannot use package.json: there is none in "${cwd}"`, {
    remedy: 'Run "npm init", or use --config-in file and --no-prestart',
  });
}
