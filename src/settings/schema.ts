import { inspect } from 'node:util';
import * as z from 'zod';
import { SyncAgentError } from '../platform/errors.ts';
import { parseExclusion } from '../stores/content/exclusions.ts';
import { ownerPattern } from '../home/owner.ts';
import { longestLabel } from '../log/manifest.ts';
import { httpAddressForm, parseHttpAddress } from '../web/http-address.ts';
import type { SettingKey } from './registry.ts';
import { secretKeys, settingKeys } from './registry.ts';
import { suggestion } from './suggest.ts';
import { parseDuration, parseShare, parseSize } from './units.ts';

type Scalar = string | number | boolean;

/** A value as a flag or variable (text) or a config file (JSON) gives it. `expected` completes "expected …". */
function value<T>(expected: string, read: (input: Scalar) => T | undefined) {
  const message = `expected ${expected}`;
  return z
    .union([z.string(), z.number(), z.boolean()], { error: message })
    .transform((input, context): T => {
      const result = read(input);
      if (result !== undefined) return result;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .optional();
}

const text = (expected: string) =>
  value(expected, (input) => (typeof input === 'string' && input.trim() !== '' ? input : undefined));

const choice = <const T extends string>(...choices: readonly T[]) =>
  value(`one of ${choices.join(', ')}`, (input) => choices.find((each) => each === input));

const flag = value('true or false', (input) => {
  if (typeof input === 'boolean') return input;
  const word = String(input).toLowerCase();
  return ['true', '1', 'yes'].includes(word) ? true : ['false', '0', 'no'].includes(word) ? false : undefined;
});

const wholeNumber = (least: number, most: number) =>
  value(`a whole number from ${least} to ${most}`, (input) => {
    const number = typeof input === 'string' && !/^\d+$/.test(input.trim()) ? Number.NaN : Number(input);
    const isFine =
      typeof input !== 'boolean' && Number.isInteger(number) && number >= least && number <= most;
    return isFine ? number : undefined;
  });

export const durationForm = 'a duration with its unit, such as 90s, 1h or 2h30m';
const duration = value(durationForm, (input) =>
  typeof input === 'string' ? parseDuration(input) : undefined,
);

const size = (least: number, form: string) =>
  value(form, (input) => {
    const bytes = typeof input === 'boolean' ? undefined : parseSize(String(input));
    return bytes !== undefined && bytes >= least ? bytes : undefined;
  });

const share = value('a share such as 0.5 or 50%', (input) =>
  typeof input === 'boolean' ? undefined : parseShare(String(input)),
);

const http = value(httpAddressForm, (input) =>
  input === true ? undefined : input === false ? 'off' : parseHttpAddress(String(input)),
);

const patternForm = 'patterns as in a .gitignore, relative to the store, such as "*.log" or "/cache/"';
/** A variable separates them by commas or newlines; a flag is repeated, and a file has a list. */
const patterns = z
  .union([z.string(), z.array(z.string())], { error: `expected ${patternForm}` })
  .transform((input, context): readonly string[] => {
    const texts =
      typeof input === 'string' ? input.split(/[,\n]/).filter((each) => each.trim() !== '') : input;
    const found = texts.map(parseExclusion);
    if (!found.includes(undefined)) return found.filter((each) => each !== undefined);
    const wrong = texts[found.indexOf(undefined)] ?? '';
    context.addIssue({
      code: 'custom',
      message: `${JSON.stringify(wrong.slice(0, 200))} can match nothing; expected ${patternForm}`,
    });
    return z.NEVER;
  })
  .optional();

/** What fits into a header, and is too long to be guessed. */
const token = value('at least 16 characters, printable ASCII without spaces', (input) =>
  typeof input === 'string' && /^[\x21-\x7e]{16,1024}$/.test(input) ? input : undefined,
);

const hook = text('a shell command or an http(s) URL');

const timeLimit = value(
  `${durationForm}, above 0`,
  (input) => (typeof input === 'string' ? parseDuration(input) : undefined) || undefined,
);

/** The one schema for flags, environment and config files. Durations come out in milliseconds, sizes in bytes. */
export const configSchema = z.strictObject({
  store: text('a directory'),
  remote: text('s3://bucket/prefix or file:///dir'),
  adapter: choice('auto', 'chroma', 'sqlite', 'files'),
  exclude: patterns,
  host: value(`a name of at most ${longestLabel} characters`, (input) =>
    typeof input === 'string' && input.trim() !== '' && input.length <= longestLabel ? input : undefined,
  ),

  json: flag,
  quiet: flag,
  verbose: flag,
  noProgress: flag,
  debug: flag,

  keepLast: wholeNumber(1, 100_000),
  keepHourly: wholeNumber(0, 100_000),
  keepDaily: wholeNumber(0, 100_000),
  keepWeekly: wholeNumber(0, 100_000),
  keepMonthly: wholeNumber(0, 100_000),
  keepWithin: duration,
  keep: wholeNumber(1, 100_000),
  grace: duration,
  captureTimeout: duration,
  history: choice('copy', 'linked'),
  owner: value('user:group, uid:gid or keep', (input) => {
    const name = typeof input === 'boolean' ? '' : String(input);
    return ownerPattern.test(name) ? name : undefined;
  }),
  fullCheck: flag,
  maxShrink: share,
  onDamage: choice('fail', 'recover'),
  startTimeout: duration,
  rollbackCopies: wholeNumber(0, 1000),
  concurrency: wholeNumber(1, 256),
  lease: value('off, or a duration from 10s to 24h', (input) => {
    if (input === 'off') return 'off';
    const ms = typeof input === 'string' ? parseDuration(input) : undefined;
    return ms !== undefined && ms >= 10_000 && ms <= 24 * 3_600_000 ? ms : undefined;
  }),

  interval: duration,
  cron: text('a cron expression such as "30 3 * * *"'),
  settle: duration,
  detect: choice('auto', 'events', 'poll'),
  pollInterval: duration,
  http,
  httpToken: token,
  logFormat: choice('text', 'json'),
  shutdownBudget: duration,
  hookBeforeBackup: hook,
  hookAfterBackup: hook,
  hookBeforeRestore: hook,
  hookAfterRestore: hook,
  hookTimeout: timeLimit,

  's3.endpoint': text('http(s)://host[:port]'),
  's3.region': text('a region'),
  's3.forcePathStyle': flag,
  's3.sse': choice('AES256', 'aws:kms'),
  's3.kmsKeyId': text('a KMS key'),
  's3.storageClass': text('a storage class'),
  's3.partSize': size(5 * 1024 * 1024, 'a size of at least 5MiB, such as 8MiB'),
  's3.uploadConcurrency': wholeNumber(1, 64),
  's3.checksums': choice('when_required', 'when_supported'),
} satisfies Record<SettingKey, z.ZodType>);

export type Config = Omit<z.output<typeof configSchema>, 'keep'>;

export interface Layer {
  /** By setting key; undefined counts as not given. */
  readonly values: Readonly<Record<string, unknown>>;
  /** How the user wrote the setting: `--grace`, `SYNC_AGENT_GRACE`, `"grace" in /app/sync-agent.config.json`. */
  readonly nameOf: (key: string) => string;
}

/** Judges one layer. Throws USAGE naming the setting as its user wrote it, and for unknown ones the nearest that exists. */
export function parseLayer({ values, nameOf }: Layer): Config {
  const given = Object.fromEntries(Object.entries(values).filter(([, each]) => each !== undefined));
  for (const key of Object.keys(given)) {
    if ((settingKeys as readonly string[]).includes(key)) continue;
    throw new SyncAgentError('USAGE', `Cannot use ${nameOf(key)}: there is no such setting`, {
      remedy: suggestion(key, settingKeys, `Settings: ${settingKeys.join(', ')}`),
    });
  }
  const parsed = configSchema.safeParse(given);
  if (parsed.success) return withoutAlias(parsed.data, nameOf);
  const issue = parsed.error.issues[0];
  const key = String(issue?.path[0] ?? '');
  const quoted = secretKeys.includes(key) ? '' : ` = ${shortOf(given[key])}`;
  throw new SyncAgentError('USAGE', `Cannot use ${nameOf(key)}${quoted}: ${issue?.message ?? ''}`);
}

/** `keep` is another name of `keepLast`. Resolved within a layer, so that either name wins over those of lower ones. */
function withoutAlias({ keep, ...config }: z.output<typeof configSchema>, nameOf: Layer['nameOf']): Config {
  if (keep === undefined) return config;
  if (config.keepLast === undefined) return { ...config, keepLast: keep };
  throw new SyncAgentError(
    'USAGE',
    `Cannot use ${nameOf('keep')} beside ${nameOf('keepLast')}: they are the same setting`,
    { remedy: 'Leave one of them out' },
  );
}

/** A value for a message: the beginning of it, and never an error of its own. */
function shortOf(given: unknown): string {
  if (typeof given === 'string' && given.length > 200) return `${JSON.stringify(given.slice(0, 200))}…`;
  if (typeof given !== 'object') return JSON.stringify(given);
  return inspect(given, { depth: 1, breakLength: Infinity, maxStringLength: 100, maxArrayLength: 5 });
}
