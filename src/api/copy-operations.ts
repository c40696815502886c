import type { CopyOptions, CopyResult } from '../engine/copying/copy-snapshots.ts';
import type { RetentionPolicy } from '../log/retention.ts';
import type { RemoteSettings } from '../remotes/registry.ts';
import type { CallOptions } from './agent.ts';

/** A second remote. What it does not say of retention is as the agent's settings have it; its connection is its own. */
export interface CopyTarget extends RemoteSettings, Partial<RetentionPolicy> {
  /** URL: `s3://bucket/prefix`, `file:///directory`. */
  readonly remote: string;
  /** How its snapshots share unchanged files. */
  readonly history?: 'copy' | 'linked' | undefined;
}

export interface CopyOperations {
  /**
   * Copies the newest snapshot, or all, to a second remote: verified, and only what is missing there. A URL is reached with the agent's own
   * connection settings. The target is a remote like any other; its retention rule is applied at the end.
   */
  copyTo(target: string | CopyTarget, options?: CopyOptions & CallOptions): Promise<CopyResult>;
}
