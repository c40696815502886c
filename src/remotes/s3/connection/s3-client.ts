import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { SyncAgentError, messageOf } from '../../../platform/errors.ts';
import { ensureHomeDirectory, readAwsEnvironment } from './aws-environment.ts';
import { endpointOf } from './endpoint.ts';
import { paceBodies } from './paced-handler.ts';
import { wideAgents } from './wide-reads.ts';
import { proxyFor } from '../../proxy.ts';
import type { Proxy } from '../../proxy.ts';
import type { S3Settings } from '../s3-settings.ts';

// The SDK reads this when a client is made. This package decides itself which versions of Node it supports.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const sockets = { keepAlive: true, maxSockets: 64 };

export interface S3Connection {
  readonly client: S3Client;
  /** A server other than AWS. */
  readonly endpoint: URL | undefined;
  /** AWS_PROFILE, unless there are keys that come before it. */
  readonly profile: string | undefined;
  /** Whether anything was ever answered. */
  hasAnswered(): boolean;
  /** The Date header of the response that `output` came from. */
  serverTimeOf(output: object): Date | undefined;
  readonly checksums: 'when_required' | 'when_supported';
  /** Keys and tokens that requests were signed with so far. No message may show them. */
  secrets(): readonly string[];
  destroy(): void;
}

/** Makes a client without retries and deadlines of its own. Throws USAGE for an endpoint that cannot be one. */
export function createS3Client(settings: S3Settings): S3Connection {
  ensureHomeDirectory(process.env);
  const keys = settings.credentials ?? readAwsEnvironment(process.env).credentials;
  const endpoint = endpointOf(settings);
  const checksums = settings.checksums ?? (endpoint === undefined ? 'when_supported' : 'when_required');
  const sdkChecksums = checksums === 'when_required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  const region = regionOf(settings, endpoint);
  const client = new S3Client({
    requestHandler: handlerOptions(settings),
    maxAttempts: 1,
    // With this header the SDK would open a new connection for every larger body.
    expectContinueHeader: false,
    requestChecksumCalculation: sdkChecksums,
    responseChecksumValidation: sdkChecksums,
    forcePathStyle: settings.forcePathStyle ?? (endpoint !== undefined && needsPathStyle(endpoint)),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.href }),
    ...(region === undefined ? {} : { region }),
    ...(keys === undefined ? {} : { credentials: { ...keys } }),
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
    profile: keys === undefined ? process.env['AWS_PROFILE'] || undefined : undefined,
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

/** A signature needs a region, although most servers other than AWS ignore it. For AWS the SDK finds the region. */
function regionOf(settings: S3Settings, endpoint: URL | undefined): S3ClientConfig['region'] {
  const configured = settings.region || readAwsEnvironment(process.env).region;
  if (configured !== undefined) return configured;
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

/** `deadline.ts` decides how long an answer may take. */
function handlerOptions(settings: S3Settings): NonNullable<S3ClientConfig['requestHandler']> {
  const agents = wideAgents({ ...sockets, ...trustedAuthorities() });
  return {
    connectionTimeout: settings.connectTimeoutMs ?? 5000,
    socketTimeout: 0,
    httpAgent: settings.proxy?.http ?? agents.http,
    httpsAgent: settings.proxy?.https ?? agents.https,
  };
}

/** The proxy that the environment names for this remote, if any. */
export function s3Proxy(settings: S3Settings): Promise<Proxy | undefined> {
  const url = endpointOf(settings)?.href ?? `https://${settings.bucket}.s3.amazonaws.com/`;
  return proxyFor(url, { ...sockets, ...trustedAuthorities() });
}

/** AWS_CA_BUNDLE, as in the AWS command line. The SDK for JavaScript does not read it. */
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

/** DeleteObjects must carry a checksum. Every server knows Content-MD5, but not the SDK's CRC-32. */
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
