import type { ErrorCode } from './errors.ts';

/** What the engine tells while it works. It never prints; `report/` and callers of the library do. */
export type AgentEvent =
  | { readonly type: 'phase'; readonly phase: Phase }
  /** `done` of `total` bytes of the present phase; `done` starts over with each phase. */
  | { readonly type: 'progress'; readonly phase: Phase; readonly done: number; readonly total: number }
  | {
      readonly type: 'warning';
      readonly code: ErrorCode | 'NOTICE';
      readonly message: string;
      readonly remedy?: string;
    }
  | {
      readonly type: 'captured';
      readonly bytes: number;
      readonly attempts: number;
      readonly heldMs: number;
      readonly longestHoldMs: number;
    }
  /** The snapshot exists from here on. */
  | { readonly type: 'committed'; readonly id: string; readonly generation: number }
  | { readonly type: 'rotated'; readonly snapshots: readonly string[]; readonly objects: number }
  | { readonly type: 'restored'; readonly id: string; readonly store: string }
  | { readonly type: 'diverged'; readonly tips: readonly string[] }
  | LeaseEvent
  | {
      readonly type: 'retry';
      readonly operation: string;
      readonly key: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly message: string;
    };

/** `epoch` is this host's, and while it waits, the holder's. */
export type LeaseEvent =
  | { readonly type: 'lease'; readonly state: 'acquired' | 'renewed' | 'released'; readonly epoch: number }
  | {
      readonly type: 'lease';
      readonly state: 'waiting';
      readonly epoch: number;
      /** Who has it, and since when by that host's clock, ISO 8601; undefined where that cannot be read. */
      readonly host: string | undefined;
      readonly since: string | undefined;
      /** How long this host will wait, milliseconds. */
      readonly atMostMs: number;
      /** When the lease ends by itself if its holder is dead, milliseconds. */
      readonly expiresInMs: number;
    }
  /** Another host took it. */
  | {
      readonly type: 'lease';
      readonly state: 'lost';
      readonly epoch: number;
      readonly to: string | undefined;
    };

export type Phase =
  'capture' | 'validate' | 'upload' | 'commit' | 'publish' | 'rotate' | 'download' | 'swap' | 'verify';

export type Emit = (event: AgentEvent) => void;
