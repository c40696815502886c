import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { SyncAgentError, messageOf } from '../errors.ts';
import { paceBodies } from './paced-handler.ts';
import type { S3Settings } from './s3-settings.ts';

// Read by the SDK when a client is made; the versions of Node that this package supports are its own business.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const maximumSockets = 64;

export interface S3Connection {
  readonly client: S3Client;
  /** A server other than AWS. */
  readonly endpoint: URL | undefined;
  /** Whether anything was ever answered. */
  hasAnswered(): boolean;
  /** The Date header of the response that `output` came from. */
  serverTimeOf(output: object): Date | undefined;
  readonly checksums: 'when_required' | 'when_supported';
  /** What requests were signed with so far: must not show in any message. */
  secrets(): readonly string[];
  destroy(): void;
}

/** Makes a client without retries and deadlines of its own. Throws USAGE for an endpoint that cannot be one. */
export function createS3Client(settings: S3Settings): S3Connection {
  const endpoint = endpointOf(settings);
  const checksums = settings.checksums ?? (endpoint === undefined ? 'when_supported' : 'when_required');
  const sdkChecksums = checksums === 'when_required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  const region = regionOf(settings, endpoint);
  const client = new S3Client({
    requestHandler: handlerOptions(settings),
    maxAttempts: 1,
    // With it the SDK opens a new connection for every bigger body.
    expectContinueHeader: false,
    requestChecksumCalculation: sdkChecksums,
    responseChecksumValidation: sdkChecksums,
    forcePathStyle: settings.forcePathStyle ?? (endpoint !== undefined && needsPathStyle(endpoint)),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.href }),
    ...(region === undefined ? {} : { region }),
    ...(settings.credentials === undefined ? {} : { credentials: { ...settings.credentials } }),
  });
  const times = new WeakMap<object, Date>();
  const secrets = new Set<string>();
  let hasAnswered = false;
  recordServerTimes(client, times, () => (hasAnswered = true));
  recordSecrets(client, secrets);
  if (checksums === 'when_required') replaceDeleteChecksums(client);
  paceBodies(client);

  return {
    client,
    endpoint,
    hasAnswered: () => hasAnswered,
    serverTimeOf: (output) => times.get(output),
    checksums,
    secrets: () => [...secrets],
    destroy: () => client.destroy(),
  };
}

export function needsPathStyle(endpoint: URL): boolean {
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 || !host.includes('.') || host.endsWith('.localhost');
}

/** The custom endpoint that the settings or the environment name; undefined for AWS itself. */
export function endpointOf(settings: S3Settings): URL | undefined {
  const { env } = process;
  const text = settings.endpoint || env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'];
  if (text === undefined || text === '') return undefined;
  const remedy = 'Write the endpoint as https://host or http://host:port';
  if (!URL.canParse(text) || !/^https?:/i.test(text)) {
    const shown = text.replace(/.*@/, '***@');
    throw new SyncAgentError('USAGE', `Cannot use the endpoint "${shown}": it is not an http(s) URL`, {
      remedy,
    });
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    const message = `Cannot use the endpoint "${url.protocol}//***@${url.host}": it holds credentials`;
    throw new SyncAgentError('USAGE', message, { remedy: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' });
  }
  return url;
}

/** Custom servers seldom care for the region, but a signature needs one. AWS itself is left to the SDK's chain. */
function regionOf(settings: S3Settings, endpoint: URL | undefined): S3ClientConfig['region'] {
  const configured = settings.region || process.env['AWS_REGION'] || process.env['AWS_DEFAULT_REGION'];
  if (configured !== undefined && configured !== '') return configured;
  if (endpoint === undefined) return undefined;
  return async () => {
    const probe = new S3Client({});
    try {
      return await probe.config.region();
    } catch {
      return 'us-east-1';
    } finally {
      probe.destroy();
    }
  };
}

/** How long an answer may take is the business of `deadline.ts`. */
function handlerOptions(settings: S3Settings): NonNullable<S3ClientConfig['requestHandler']> {
  const sockets = { keepAlive: true, maxSockets: maximumSockets };
  return {
    connectionTimeout: settings.connectTimeoutMs ?? 5000,
    socketTimeout: 0,
    httpAgent: sockets,
    httpsAgent: { ...sockets, ...trustedAuthorities() },
  };
}

/** AWS_CA_BUNDLE as in the AWS command line, which the SDK for JavaScript leaves out. */
function trustedAuthorities(): { readonly ca?: string } {
  const path = process.env['AWS_CA_BUNDLE'];
  if (path === undefined || path === '') return {};
  try {
    return { ca: readFileSync(path, 'utf8') };
  } catch (cause) {
    throw new SyncAgentError('USAGE', `Cannot read AWS_CA_BUNDLE "${path}": ${messageOf(cause)}`, { cause });
  }
}

function recordServerTimes(client: S3Client, times: WeakMap<object, Date>, onAnswer: () => void): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      onAnswer();
      const headers = (result.response as { readonly headers?: Readonly<Record<string, string>> }).headers;
      const date = new Date(headers?.['date'] ?? '');
      if (result.output !== undefined && !Number.isNaN(date.getTime())) times.set(result.output, date);
      return result;
    },
    { step: 'deserialize', name: 'recordServerTime', priority: 'high' },
  );
}

function recordSecrets(client: S3Client, secrets: Set<string>): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { accessKeyId, secretAccessKey, sessionToken = '' } = await client.config.credentials();
      for (const secret of [secretAccessKey, sessionToken, accessKeyId])
        if (secret !== '') secrets.add(secret);
      return next(args);
    },
    { step: 'build', name: 'recordSecrets' },
  );
}

interface MutableRequest {
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

/** DeleteObjects must carry a checksum; the one that every server knows is Content-MD5, not the SDK's CRC-32. */
function replaceDeleteChecksums(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as MutableRequest;
      if (context.commandName === 'DeleteObjectsCommand' && typeof request.body === 'string') {
        for (const name of Object.keys(request.headers)) {
          if (/^x-amz-(checksum-|sdk-checksum-)/i.test(name)) delete request.headers[name];
        }
        request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
      }
      return next(args);
    },
    // Low: after the SDK's own checksum, before the signature.
    { step: 'build', name: 'deleteChecksum', priority: 'low' },
  );
}
