/** How one setting appears on the command line. Its value is judged by `schema.ts`; this file loads no library. */
export interface Setting {
  readonly type: 'string' | 'boolean';
  readonly describe: string;
  readonly group: SettingGroup;
}

export type SettingGroup = 'Store and remote:' | 'Output:' | 'Engine:' | 'S3:';

const setting = (group: SettingGroup, describe: string, type: Setting['type'] = 'string'): Setting => ({
  type,
  describe,
  group,
});

/**
 * Every setting there is, under its name in a config file: `captureTimeout`, and `s3.partSize` for `partSize` within
 * `s3`. The flag is `--capture-timeout`, `--s3-part-size`; the variable `SYNC_AGENT_CAPTURE_TIMEOUT`,
 * `SYNC_AGENT_S3_PART_SIZE`.
 */
export const settings = {
  store: setting('Store and remote:', 'Directory to keep [default: ./chroma]'),
  remote: setting('Store and remote:', 'Where to keep it: s3://bucket/prefix or file:///dir'),
  adapter: setting('Store and remote:', 'Kind of store: auto, chroma, sqlite or files [default: auto]'),
  host: setting('Store and remote:', 'Name of this host in snapshots [default: the host name]'),

  json: setting('Output:', 'Print one JSON document on stdout', 'boolean'),
  quiet: setting('Output:', 'Print warnings and errors only', 'boolean'),
  verbose: setting('Output:', 'Say more about what happens', 'boolean'),
  noProgress: setting('Output:', 'No progress bar', 'boolean'),
  debug: setting('Output:', 'Show stack traces', 'boolean'),

  keep: setting('Engine:', 'Snapshots that rotation keeps [default: 24]'),
  grace: setting('Engine:', 'How long others may rely on what they saw, such as 2h [default: 2h]'),
  captureTimeout: setting('Engine:', 'How long to wait for a quiet moment of the store [default: 60s]'),
  history: setting(
    'Engine:',
    'copy: snapshots are complete; linked: they share unchanged files [default: copy]',
  ),
  fullCheck: setting('Engine:', 'Thorough integrity check of the store, slower', 'boolean'),
  maxShrink: setting('Engine:', 'Refuse to back up a store that lost more than this share [default: 50%]'),
  rollbackCopies: setting('Engine:', 'Replaced stores kept beside the store [default: 3]'),
  concurrency: setting('Engine:', 'Files in transfer at once [default: 8]'),
  lease: setting('Engine:', 'Hold a lease that lasts so long unless renewed, such as 60s [default: off]'),

  's3.endpoint': setting('S3:', 'Server other than AWS, such as http://localhost:9000'),
  's3.region': setting('S3:', 'Region of the bucket'),
  's3.forcePathStyle': setting('S3:', 'Name the bucket in the path, not in the host name', 'boolean'),
  's3.sse': setting('S3:', 'Server-side encryption: AES256 or aws:kms'),
  's3.kmsKeyId': setting('S3:', 'KMS key for aws:kms'),
  's3.storageClass': setting('S3:', 'Storage class of new objects, such as STANDARD_IA'),
  's3.partSize': setting('S3:', 'Parts of large uploads, such as 8MiB [default: 8MiB]'),
  's3.uploadConcurrency': setting('S3:', 'Parts of one upload in flight [default: 4]'),
  's3.checksums': setting('S3:', 'Checksums beyond Content-MD5: when_required or when_supported'),
} as const satisfies Record<string, Setting>;

export type SettingKey = keyof typeof settings;

export const settingKeys = Object.keys(settings) as readonly SettingKey[];

export const environmentPrefix = 'SYNC_AGENT_';

/** `s3.partSize` becomes `s3-part-size`. */
export function flagOf(key: string): string {
  return key.replace('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `s3.partSize` becomes `SYNC_AGENT_S3_PART_SIZE`. */
export function variableOf(key: string): string {
  return environmentPrefix + flagOf(key).replaceAll('-', '_').toUpperCase();
}
