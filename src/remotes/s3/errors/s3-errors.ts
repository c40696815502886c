import {
  SyncAgentError,
  errnoOf,
  interrupted,
  messageOf,
  type SyncAgentErrorOptions,
  isSyncAgentError,
} from '../../../platform/errors.ts';
import { explainNetwork } from './s3-network.ts';

export interface S3CallContext {
  /** What was tried, for messages: `put "x" to s3://bucket/prefix`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
  /** This host's clock, milliseconds since the epoch. */
  readonly now: () => number;
  /** Keys and tokens that no message may show. */
  readonly secrets?: () => readonly string[];
  /** The proxy between this host and the server. */
  readonly proxy?: string | undefined;
  /** The server, if it is not Amazon. */
  readonly endpoint?: URL | undefined;
  /** The permissions that this request needs, if they are not those of every backup. */
  readonly remedyIfDenied?: string | undefined;
  /** AWS_PROFILE, if the credentials come from a profile. */
  readonly profile?: string | undefined;
}

/** Names of passing errors, such as damage in transit, that S3 servers report with a status of 4xx. */
const passing = new Set([
  'RequestTimeout',
  'IncompleteBody',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'OperationAborted',
  'ConditionalRequestConflict',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'SlowDown',
]);
const denied =
  /^(AccessDenied|Forbidden|Unauthorized|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken.*|InvalidToken|TokenRefreshRequired|InvalidSecurity|InvalidClientTokenId|CredentialsProviderError|AllAccessDisabled|AccountProblem|NotSignedUp)$/;
const wrongRegion =
  /^(PermanentRedirect|TemporaryRedirect|MovedPermanently|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/;
const full =
  /^(QuotaExceeded|XMinioStorageFull|InsufficientCapacity|StorageLimitExceeded|EntityQuotaExceeded)$/;

/**
 * Any failure of the SDK as the error a reader can act on. The original error is not kept as the cause: it holds
 * the request with its signature. Name, message, status and request id are.
 */
export function fromS3(error: unknown, context: S3CallContext): SyncAgentError {
  if (error instanceof SyncAgentError) return error;
  const { action, signal } = context;
  if (signal?.aborted === true) return interrupted(action, signal.reason);
  const facts = factsOf(error, context.secrets?.() ?? []);
  const { code, why, remedy, ...options } = classify(facts, context);
  return new SyncAgentError(code, `Cannot ${action}: ${why ?? facts.summary}`, {
    ...options,
    ...withProxy(code, remedy, context.proxy),
    outOfReach: code === 'REMOTE_UNREACHABLE' || code === 'DENIED' || facts.name === 'NoSuchBucket',
    cause: facts.cause,
  });
}

/** An error of a proxy looks like one of the server. */
function withProxy(
  code: SyncAgentError['code'],
  remedy: string | undefined,
  proxy: string | undefined,
): { readonly remedy?: string } {
  const mayBeProxy = proxy !== undefined && (code === 'REMOTE_UNREACHABLE' || code === 'DENIED');
  const hint = `Requests go through the proxy ${proxy}: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY`;
  const parts = [...(remedy === undefined ? [] : [remedy]), ...(mayBeProxy ? [hint] : [])];
  return parts.length === 0 ? {} : { remedy: parts.join('. ') };
}

interface S3Facts {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly errno: string | undefined;
  readonly peer: string | undefined;
  /** This host's clock is minutes off, and the SDK goes by the server's from now on. */
  readonly clockCorrected: boolean;
  readonly summary: string;
  readonly cause: Error;
}

interface Classification extends SyncAgentErrorOptions {
  readonly code: SyncAgentError['code'];
  readonly why?: string;
}

function classify(facts: S3Facts, context: S3CallContext): Classification {
  const { name, status, headers } = facts;
  if (name === 'RequestTimeTooSkewed') return classifySkew(facts, context);
  if (wrongRegion.test(name) || [301, 307, 308].includes(status ?? 0)) {
    return { code: 'USAGE', remedy: remedyForRedirect(facts) };
  }
  if (status === 302) return { code: 'REMOTE_UNREACHABLE', remedy: remedyForRedirect(facts) };
  if (/Region is missing/.test(facts.message))
    return { code: 'USAGE', why: 'no region is configured', remedy: 'Set AWS_REGION' };
  if (name === 'NoSuchBucket') {
    const hint = /\/\/[^/]*[A-Z_]/.test(context.action) ? '; most servers have lower-case names only' : '';
    const { endpoint } = context;
    const path = endpoint?.pathname.replace(/\/+$/, '') ?? '';
    // Servers take the first name in a path for the bucket.
    const first =
      path === ''
        ? ''
        : `Leave the path "${path}" out of the endpoint, unless the server has S3 below it: --s3-endpoint ${endpoint?.origin}. `;
    return {
      code: 'NOT_FOUND',
      remedy: `${first}Create the bucket, or check its name, the endpoint and the region${hint}`,
    };
  }
  if (name === 'NoSuchUpload') return { code: 'REMOTE_UNREACHABLE' };
  if (name === 'NoSuchKey' || name === 'NotFound' || status === 404)
    return { code: 'NOT_FOUND', why: 'it does not exist' };
  if (full.test(name) || status === 507)
    return { code: 'DISK_FULL', remedy: 'Free space on the server or raise the quota' };
  if (name === 'InvalidObjectState') {
    return {
      code: 'DENIED',
      remedy: 'The object is in an archive storage class; restore it from there first',
    };
  }
  if (denied.test(name) || status === 401 || status === 403) {
    // An answer to HEAD has no body to say that it was the clock.
    const retryable = name === 'Forbidden' && facts.clockCorrected;
    if (name === 'CredentialsProviderError' && context.profile !== undefined)
      return deniedByProfile(context.profile);
    return { code: 'DENIED', retryable, remedy: remedyForDenied(name, context) };
  }
  if (status === 407)
    return {
      code: 'DENIED',
      why: 'the proxy wants a user and a password (407)',
      remedy: 'Write them into HTTP_PROXY and HTTPS_PROXY',
    };
  if (status === 412) return { code: 'ALREADY_EXISTS', why: 'it already exists' };
  if (status === undefined || status < 300) return classifyNetwork(facts, context);
  if (status === 501)
    return { code: 'REMOTE_UNREACHABLE', why: `the server does not implement it: ${facts.summary}` };
  const retryable = status >= 500 || status === 408 || status === 409 || status === 429 || passing.has(name);
  if (!retryable) return { code: 'REMOTE_UNREACHABLE', why: `${facts.summary}: ${facts.message}` };
  const retryAfterMs = parseRetryAfter(headers['retry-after'], context.now());
  return { code: 'REMOTE_UNREACHABLE', retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Amazon redirects to the bucket's region. A proxy before another server mostly redirects from http to https. */
function remedyForRedirect({ headers, message }: S3Facts): string {
  const region = headers['x-amz-bucket-region'] ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1];
  const target = headers['location'] ?? '';
  if (region === undefined && URL.canParse(target)) {
    const { protocol, host } = new URL(target);
    return `It redirects to ${protocol}//${host}; if that is the S3 server, set it as the endpoint`;
  }
  return `The bucket is in another region${region === undefined ? '' : `, "${region}"`}; set AWS_REGION or the region option`;
}

function classifyNetwork(facts: S3Facts, { proxy }: S3CallContext): Classification {
  const { status, errno = '', name, message, peer } = facts;
  const network = status === undefined ? explainNetwork({ errno, name, message, peer, proxy }) : undefined;
  if (network !== undefined) return { code: 'REMOTE_UNREACHABLE', ...network };
  const broken = status !== undefined || name === 'TimeoutError' || /checksum mismatch/i.test(message);
  const system = errno !== '' && (!errno.startsWith('ERR_') || errno === 'ERR_STREAM_PREMATURE_CLOSE');
  return broken || system ? { code: 'REMOTE_UNREACHABLE', retryable: true } : { code: 'INTERNAL' };
}

function classifySkew({ headers, clockCorrected }: S3Facts, { now }: S3CallContext): Classification {
  const here = new Date(now()).toISOString();
  const date = new Date(headers['date'] ?? '');
  const there = Number.isNaN(date.getTime()) ? 'unknown' : date.toISOString();
  const remedy = `Set this host's clock: here it is ${here}, at the server ${there}`;
  return { code: 'DENIED', retryable: clockCorrected, remedy };
}

function deniedByProfile(profile: string): Classification {
  return {
    code: 'DENIED',
    why: `the profile "${profile}", which AWS_PROFILE names, gives no credentials`,
    remedy:
      'Check that ~/.aws/credentials or ~/.aws/config has a profile of that name with credentials, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  };
}

function remedyForDenied(name: string, { remedyIfDenied }: S3CallContext): string {
  if (/Token/.test(name)) return 'Renew the session credentials';
  if (name === 'InvalidAccessKeyId' || name === 'SignatureDoesNotMatch') {
    return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile';
  }
  if (name === 'CredentialsProviderError') {
    return 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the host a role';
  }
  if (remedyIfDenied !== undefined) return remedyIfDenied;
  return 'Check the credentials, and that they allow s3:GetObject, PutObject, DeleteObject, ListBucket and AbortMultipartUpload';
}

function factsOf(error: unknown, secrets: readonly string[]): S3Facts {
  const raw = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly name?: string;
    readonly $metadata?: { httpStatusCode?: number; requestId?: string; clockSkewCorrected?: boolean };
    readonly $response?: { statusCode?: number; headers?: Record<string, string> };
  };
  const status = raw.$metadata?.httpStatusCode ?? raw.$response?.statusCode;
  const errno = errnoOf(error);
  const message = redact(messageOf(error), secrets) || (errno ?? 'unknown error');
  const generic =
    raw.name === undefined ||
    /^(Error|TypeError|AggregateError|UnknownError|Unknown|[0-9]+|S3ServiceException)$/.test(raw.name);
  const name = generic
    ? (statusNames[status ?? 0] ?? errno ?? 'Error')
    : redact(raw.name ?? 'Error', secrets);
  const requestId = raw.$metadata?.requestId;
  const cause = Object.assign(new Error(message), {
    name,
    ...(errno === undefined ? {} : { code: errno }),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
  });
  const summary = status === undefined || status < 300 ? message : `${name} (${status})`;
  const clockCorrected = raw.$metadata?.clockSkewCorrected === true;
  return {
    name,
    message,
    status,
    headers: raw.$response?.headers ?? {},
    errno,
    peer: peerOf(error),
    clockCorrected,
    summary,
    cause,
  };
}

function peerOf(error: unknown): string | undefined {
  // A name with several addresses fails once for each.
  const [first = error] = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [];
  const { address, port } = Object(first) as { readonly address?: unknown; readonly port?: unknown };
  if (typeof address !== 'string' || typeof port !== 'number') return undefined;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** For answers without a body, those to HEAD requests and those of proxies. */
const statusNames: Readonly<Record<number, string>> = {
  301: 'MovedPermanently',
  302: 'Found',
  307: 'TemporaryRedirect',
  308: 'PermanentRedirect',
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  407: 'ProxyAuthenticationRequired',
  429: 'TooManyRequests',
  500: 'InternalError',
  501: 'NotImplemented',
  502: 'BadGateway',
  503: 'ServiceUnavailable',
  504: 'GatewayTimeout',
};

/** Servers and proxies sometimes quote the request. Its signature is cut out. */
function redact(message: string, secrets: readonly string[]): string {
  return secrets
    .reduce((text, secret) => text.replaceAll(secret, '***'), message)
    .replace(/\b(AKIA|ASIA)[A-Z0-9]{12,}\b/g, '***')
    .replace(
      /\b(Credential|Signature|X-Amz-[A-Za-z0-9-]+|Authorization)(["']?\s*[=:]\s*["']?)[^\s,&"'<>]+/gi,
      '$1$2***',
    )
    .replace(/\/\/[^/\s@]*@/g, '//***@');
}

function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - now : seconds * 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

/** The server's name for the error, such as NoSuchUpload. Empty if it gave none. */
export function serverErrorName(error: unknown): string {
  return isSyncAgentError(error) && error.cause instanceof Error ? error.cause.name : '';
}

/** Whether the server does not know this operation at all. */
export function isUnsupported(error: unknown): boolean {
  return ['NotImplemented', 'MethodNotAllowed'].includes(serverErrorName(error));
}
