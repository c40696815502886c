const hidden = '[redacted]';

const secretName =
  /^(proxy-)?authorization$|secret|password|passphrase|token$|api-?key|access-?key|credential|signature|^cookie$|^x-amz-/i;

/**
 * Credentials in a text. The beginning of each stays, so that a reader sees what was there. Repetitions are bounded, so
 * that every text takes linear time.
 */
const secretTexts: readonly RegExp[] = [
  // Presigned URLs and their older form.
  /([?&;\s](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|signature|awsaccesskeyid|sig)=)[^&\s"'<>]+/gi,
  // user:password@host
  /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"'<>]{1,1000}(?=@)/gi,
  /(\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}/gi,
  /(\bAWS4-HMAC-SHA256\s+)\S.*$/gim,
  // --password=x, SECRET_KEY: x, "sessionToken":"x"
  /((?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|authorization)[\w-]{0,40}["']?(?:\s{0,8}[=:]\s{0,8}|\s{1,8}(?=\S{16}))["']?)(?!\[redacted\]|bearer\s|basic\s|aws4-)[^\s"',;&<>]+/gi,
  // Access key ids.
  /(\b(?:AKIA|ASIA))[A-Z0-9]{16}\b/g,
];

/** The text without credentials. Messages quote servers, and servers quote requests. */
export function redactText(text: string): string {
  return secretTexts.reduce((rest, pattern) => rest.replace(pattern, `$1${hidden}`), text);
}

/** Plain data without credentials, whether a field's name tells them or they are within a text. */
export function redact<T>(value: T): T {
  return redacted(value) as T;
}

function redacted(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      secretName.test(name) && isGiven(each) ? hidden : redacted(each),
    ]),
  );
}

const isGiven = (value: unknown): boolean => value !== null && value !== undefined && value !== '';
