/** How one setting appears on the command line. Its value is judged by `schema.ts`; this file loads no library. */
export interface Setting {
  /** A list is given by repeating its flag. */
  readonly type: 'string' | 'boolean' | 'list';
  readonly describe: string;
  readonly group: SettingGroup;
}

export type SettingGroup = 'Store and remote:' | 'Output:' | 'Engine:' | 'Agent:' | 'Hooks:' | 'S3:';

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
  exclude: setting(
    'Store and remote:',
    'Leave these files of the store alone, as in a .gitignore; may be repeated',
    'list',
  ),
  host: setting('Store and remote:', 'Name of this host in snapshots [default: the host name]'),

  json: setting('Output:', 'Print one JSON document on stdout', 'boolean'),
  quiet: setting('Output:', 'Print warnings and errors only', 'boolean'),
  verbose: setting('Output:', 'Say more about what happens', 'boolean'),
  noProgress: setting('Output:', 'No progress bar', 'boolean'),
  debug: setting('Output:', 'Show stack traces', 'boolean'),

  keepLast: setting('Engine:', 'Number of newest snapshots to keep, at least 1 [default: 24]'),
  keepHourly: setting('Engine:', 'Number of hours to keep the newest snapshot of [default: 0]'),
  keepDaily: setting('Engine:', 'The same by days [default: 0]'),
  keepWeekly: setting('Engine:', 'The same by weeks, from Monday [default: 0]'),
  keepMonthly: setting('Engine:', 'The same by months [default: 0]'),
  keepWithin: setting('Engine:', 'Keep every snapshot that is not older, such as 7d [default: 0]'),
  keep: setting('Engine:', 'The same as --keep-last'),
  grace: setting(
    'Engine:',
    'Keep deleted data this long, so that runs on other hosts can finish [default: 2h]',
  ),
  captureTimeout: setting('Engine:', 'How long to wait for a quiet moment of the store [default: 60s]'),
  history: setting(
    'Engine:',
    'copy: snapshots are complete; linked: they share unchanged files [default: copy]',
  ),
  owner: setting(
    'Engine:',
    "As root, whose files are written: user:group, or keep [default: the store's owner]",
  ),
  fullCheck: setting('Engine:', 'Thorough integrity check of the store, slower', 'boolean'),
  maxShrink: setting('Engine:', 'Refuse to back up a store that lost more than this share [default: 50%]'),
  onDamage: setting(
    'Engine:',
    'Start on a damaged store: fail, or recover: keep it aside, restore the newest snapshot [default: fail]',
  ),
  startTimeout: setting(
    'Engine:',
    'How long restore and run wait for the remote beside a present store [default: 20s]',
  ),
  rollbackCopies: setting('Engine:', 'Replaced stores kept beside the store [default: 3]'),
  concurrency: setting('Engine:', 'Files in transfer at once [default: 8]'),
  lease: setting('Engine:', 'Hold a lease, for this long unless renewed, such as 60s [default: off]'),

  interval: setting(
    'Agent:',
    'Minimum time between snapshots; no change waits longer; 0: only at fixed times [default: 1h]',
  ),
  cron: setting('Agent:', 'Fixed times besides, such as "30 3 * * *", in local time (TZ)'),
  settle: setting('Agent:', 'After a change, how long the store should have been quiet [default: 2s]'),
  detect: setting('Agent:', 'How changes are noticed: auto, events or poll [default: auto]'),
  pollInterval: setting('Agent:', "How often the files' times are looked at as well [default: 30s]"),
  http: setting(
    'Agent:',
    'Where the status page and metrics are served: [host:]port, or off [default: 127.0.0.1:8477]',
  ),
  httpToken: setting('Agent:', 'Token that POST requests must send; needed to listen beyond this host'),
  logFormat: setting('Agent:', 'text or json [default: text on a terminal, else json]'),
  shutdownBudget: setting(
    'Agent:',
    'From the signal that stops a command to the exit, such as 25s [default: 25s]',
  ),

  hookBeforeBackup: setting('Hooks:', 'Shell command, or URL that gets a POST, before each backup'),
  hookAfterBackup: setting('Hooks:', 'The same after each backup, also one that failed'),
  hookBeforeRestore: setting('Hooks:', 'The same before each restore; a command that fails stops it'),
  hookAfterRestore: setting('Hooks:', 'The same after each restore, also one that failed'),
  hookTimeout: setting('Hooks:', 'How long each hook may take [default: 30s]'),

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

/** Settings whose values no message may quote. */
export const secretKeys: readonly string[] = [
  'httpToken',
  'hookBeforeBackup',
  'hookAfterBackup',
  'hookBeforeRestore',
  'hookAfterRestore',
] satisfies readonly SettingKey[];

export const environmentPrefix = 'SYNC_AGENT_';

/** `s3.partSize` becomes `s3-part-size`. */
export function flagOf(key: string): string {
  return key.replace('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `s3.partSize` becomes `SYNC_AGENT_S3_PART_SIZE`. */
export function variableOf(key: string): string {
  return environmentPrefix + flagOf(key).replaceAll('-', '_').toUpperCase();
}
