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
  | {
      readonly type: 'retry';
      readonly operation: string;
      readonly key: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly message: string;
    }
  /** A hook has ended; `message` says what was wrong with one that is not ok. */
  | {
      readonly type: 'hook';
      readonly hook: string;
      readonly outcome: 'ok' | 'failed' | 'timed-out';
      readonly durationMs: number;
      readonly message?: string;
    }
  /** What a hook's command printed. */
  | { readonly type: 'hook-output'; readonly hook: string; readonly line: string };

export type Phase =
  'capture' | 'validate' | 'upload' | 'commit' | 'publish' | 'rotate' | 'download' | 'swap' | 'verify';

export type Emit = (event: AgentEvent) => void;
