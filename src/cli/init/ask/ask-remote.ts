import { isAbsolute, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isSyncAgentError } from '../../../platform/errors.ts';
import { parseRemote } from '../../../remotes/remote-url.ts';
import { formatS3Url, parseS3Url } from '../../../remotes/s3/s3-url.ts';
import type { Prompter } from './prompter.ts';

export interface RemoteAnswers {
  readonly remote: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
}

type Previous = { readonly [Key in keyof RemoteAnswers]?: RemoteAnswers[Key] | undefined };

export interface RemoteHints {
  readonly cwd: string;
  /** Absolute; a remote must not be inside it. */
  readonly store: string;
  /** A name for the prefix. */
  readonly name: string;
  /** Earlier answers. */
  readonly previous: Previous;
}

const services = [
  { value: 'aws', label: 'Amazon S3' },
  { value: 'r2', label: 'Cloudflare R2' },
  { value: 'other', label: 'MinIO or another S3-compatible server' },
  { value: 'directory', label: 'A directory', hint: 'on another disk, or a network share' },
] as const;

type Service = (typeof services)[number]['value'];

/** Asks where to store snapshots. It never asks for credentials. */
export async function askRemote(prompter: Prompter, hints: RemoteHints): Promise<RemoteAnswers> {
  const service = await prompter.choose<Service>({
    message: 'Where should snapshots be stored?',
    options: services,
    initial: serviceOf(hints.previous),
  });
  switch (service) {
    case 'directory':
      return askDirectory(prompter, hints);
    case 'aws': {
      const remote = await askBucket(prompter, hints);
      const region = await askRegion(prompter, hints);
      return { remote, ...(region === '' ? {} : { region }) };
    }
    case 'r2': {
      const account = await prompter.ask({
        message: 'Cloudflare account ID (32 hexadecimal digits), or the S3 API URL of the bucket',
        initial: /^https:\/\/([0-9a-f]{32})\./.exec(hints.previous.endpoint ?? '')?.[1],
        judge: (answer) =>
          endpointOfR2(answer) === undefined
            ? 'The dashboard shows it under R2: 32 hexadecimal digits'
            : undefined,
      });
      const remote = await askBucket(prompter, hints);
      return { remote, endpoint: endpointOfR2(account), region: 'auto' };
    }
    case 'other': {
      const endpoint = await prompter.ask({
        message: 'Server endpoint',
        initial: hints.previous.endpoint ?? 'http://localhost:9000',
        judge: judgeEndpoint,
      });
      return { remote: await askBucket(prompter, hints), endpoint, region: hints.previous.region };
    }
    default:
      return service satisfies never;
  }
}

async function askDirectory(
  prompter: Prompter,
  { cwd, store, previous }: RemoteHints,
): Promise<RemoteAnswers> {
  const known = previous.remote?.startsWith('file:') === true ? parseRemote(previous.remote) : undefined;
  const answer = await prompter.ask({
    message: 'Which directory? Preferably on another disk',
    initial: known?.directory,
    placeholder: '/mnt/backup/my-app',
    judge: (text) => {
      if (text === '') return 'Enter a directory';
      const [inner, outer] = [relative(store, resolve(cwd, text)), relative(resolve(cwd, text), store)];
      return [inner, outer].some((each) => !each.startsWith('..') && !isAbsolute(each))
        ? 'The store and its remote must not be inside each other'
        : undefined;
    },
  });
  return { remote: pathToFileURL(resolve(cwd, answer)).href };
}

async function askBucket(prompter: Prompter, { name, previous }: RemoteHints): Promise<string> {
  const { bucket: oldBucket, prefix: oldPrefix } =
    previous.remote?.startsWith('s3:') === true
      ? parseS3Url(previous.remote)
      : { bucket: undefined, prefix: name };
  const bucket = await prompter.ask({
    message: 'Bucket',
    initial: oldBucket,
    judge: (text) =>
      /[/]/.test(text) ? 'Enter the name only, without slashes' : judgeRemote(`s3://${text}`),
  });
  const prefix = await prompter.ask({
    message: 'Prefix in the bucket, one per store (empty: the whole bucket)',
    initial: oldPrefix,
    judge: (text) => judgeRemote(`s3://${bucket}/${text}`),
  });
  return formatS3Url(parseS3Url(`s3://${bucket}/${prefix}`));
}

function askRegion(prompter: Prompter, { previous }: RemoteHints): Promise<string> {
  return prompter.ask({
    message: 'Region of the bucket (empty: from AWS_REGION or the profile)',
    initial: previous.region,
    placeholder: 'eu-central-1',
    judge: (text) => (/^[a-z0-9-]*$/.test(text) ? undefined : 'A region looks like eu-central-1'),
  });
}

function serviceOf({ remote, endpoint }: Previous): Service | undefined {
  if (remote === undefined) return undefined;
  if (remote.startsWith('file:')) return 'directory';
  if (endpoint === undefined) return 'aws';
  return /\.r2\.cloudflarestorage\.com/.test(endpoint) ? 'r2' : 'other';
}

function endpointOfR2(text: string): string | undefined {
  const account = /^(?:https:\/\/)?([0-9a-f]{32})(?:\.|$)/i.exec(text)?.[1];
  return account === undefined ? undefined : `https://${account.toLowerCase()}.r2.cloudflarestorage.com`;
}

function judgeEndpoint(text: string): string | undefined {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return 'Write http://host:port or https://host';
  const { username, password } = new URL(text);
  return username + password === '' ? undefined : 'Leave credentials out of the endpoint';
}

function judgeRemote(text: string): string | undefined {
  try {
    parseRemote(text);
    return undefined;
  } catch (error) {
    if (!isSyncAgentError(error)) throw error;
    return [error.message.replace(/^.* as the remote: /, ''), error.remedy].filter(Boolean).join('. ');
  }
}
