import { homedir } from 'node:os';
import { SyncAgentError } from '../../../platform/errors.ts';

/** What the environment says of S3, read as the AWS command line reads it; an empty variable counts as unset. */
export interface AwsEnvironment {
  /** Before every profile, as on the AWS command line; the SDK alone would prefer AWS_PROFILE. */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
  readonly region: string | undefined;
  readonly endpoint: { readonly text: string; readonly variable: string } | undefined;
}

/** Variables that hold one word each. A blank or a quote at an end is a mistake. */
const words = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ENDPOINT_URL_S3',
  'AWS_ENDPOINT_URL',
  'AWS_PROFILE',
  'AWS_ROLE_ARN',
] as const;
/** These may hold blanks in the middle. */
const paths = [
  'AWS_CA_BUNDLE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
];

/** Throws USAGE for a variable with a value that cannot be meant, DENIED if one key of the pair is missing. Both name the variable. */
export function readAwsEnvironment(env: Readonly<NodeJS.ProcessEnv>): AwsEnvironment {
  for (const name of [...words, ...paths]) assertClean(name, env[name] ?? '');
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: sessionToken } = env;
  if (!id !== !secret) {
    const [set, missing] = id
      ? ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
      : ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID'];
    throw new SyncAgentError('DENIED', `Cannot use ${set}: ${missing} is not set`, {
      remedy: `Set ${missing} too, or unset ${set} to use a profile or a role`,
      outOfReach: true,
    });
  }
  return {
    credentials:
      id && secret
        ? { accessKeyId: id, secretAccessKey: secret, ...(sessionToken ? { sessionToken } : {}) }
        : undefined,
    region: env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || undefined,
    endpoint: endpointIn(env),
  };
}

function endpointIn(env: Readonly<NodeJS.ProcessEnv>): AwsEnvironment['endpoint'] {
  if (env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS']?.toLowerCase() === 'true') return undefined;
  for (const variable of ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']) {
    const text = env[variable];
    if (text !== undefined && text !== '') return { text, variable };
  }
  return undefined;
}

/** The value itself may be a secret, so a message never holds it. */
function assertClean(name: string, value: string): void {
  const [first = '', last = ''] = [value.at(0), value.at(-1)];
  const end = [last, first].find((each) => /[\s"']/.test(each));
  const inner = !paths.includes(name) && /\s/.test(value);
  if (end === undefined && !inner) return;
  const what = end === undefined ? 'a blank or a line break in it' : `${nameOf(end)} at one of its ends`;
  throw new SyncAgentError('USAGE', `Cannot use the environment variable ${name}: it has ${what}`, {
    remedy: 'Store the bare value: "echo" adds a line break, "printf %s" does not; env files keep quotes',
  });
}

function nameOf(character: string): string {
  // JavaScript counts it among the blanks.
  if (character === '\uFEFF') return 'a byte order mark';
  if (/[\r\n]/.test(character)) return 'a line break';
  if (/["']/.test(character)) return 'a quote';
  return 'a blank';
}

/**
 * The SDK needs to know a home directory, although it need not exist. In a container without HOME, a user without an entry in
 * /etc/passwd has none.
 */
export function ensureHomeDirectory(env: NodeJS.ProcessEnv): void {
  try {
    homedir();
  } catch {
    env['HOME'] = '/nonexistent';
  }
}
