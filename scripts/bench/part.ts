import type { Measured } from './measure/run-measured.ts';
import type { Traffic } from './measure/counting-proxy.ts';
import type { BenchS3 } from './s3.ts';
import type { ChromaStores, Metadata } from './stores/chroma-stores.ts';
import type { Tool } from './tools/tool.ts';

/** What every part of the benchmark works with. */
export interface Bench {
  readonly agent: Tool;
  /** All that are installed, the agent first. */
  readonly tools: readonly Tool[];
  readonly s3: BenchS3;
  /** A scratch directory. */
  readonly work: string;
  readonly sizes: Sizes;
  readonly say: (line: string) => void;
  chromaStores(metadata: Metadata): Promise<ChromaStores>;
}

export interface Sizes {
  readonly rounds: number;
  readonly records: number;
  readonly smallFiles: number;
  readonly largeBytes: number;
  readonly hotBackups: number;
}

/** One group of measurements, chosen by its name. */
export interface Part {
  readonly name: string;
  run(bench: Bench): Promise<PartResult>;
}

export interface PartResult {
  readonly part: string;
  readonly title: string;
  /** What was measured, as Markdown. */
  readonly about: string;
  readonly samples: readonly Sample[];
  readonly holds: readonly Hold[];
  readonly facts?: readonly Fact[];
}

/** What, and how much, for people. */
export type Fact = readonly [what: string, value: string];

/** One run of one tool. */
export interface Sample {
  readonly step: string;
  readonly tool: string;
  readonly measured: Measured;
  /** What the S3 server used meanwhile; undefined if it is not ours. */
  readonly serverCpuMs: number | undefined;
  /** What anybody else used: not the tool, the server or the benchmark. */
  readonly othersCpuMs: number;
  /** Only of a counted round, whose times are worth nothing. */
  readonly traffic: Traffic | undefined;
}

/** How long writers waited for backups of a store with so many more files. */
export interface Hold {
  readonly extraFiles: number;
  readonly storeBytes: number;
  readonly holdsMs: readonly number[];
  /** The writers' slowest request during each backup. */
  readonly slowestWritesMs: readonly number[];
  readonly backupsMs: readonly number[];
  readonly slowestWriteWithoutBackupMs: number;
  readonly writes: number;
  readonly failedWrites: number;
}
