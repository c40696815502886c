import { SyncAgentError } from '../platform/errors.ts';
import type { ErrorCode } from '../platform/errors.ts';

export type HookedOperation = 'backup' | 'restore';
export type HookName = `${'before' | 'after'}-${HookedOperation}` | 'on-damage' | 'after-drill';

/** Plain data. Each hook is a shell command, or an http(s) URL that gets a POST; either may hold secrets. */
export interface Hooks {
  readonly beforeBackup?: string | undefined;
  readonly afterBackup?: string | undefined;
  readonly beforeRestore?: string | undefined;
  readonly afterRestore?: string | undefined;
  /** After a check by a running agent that finds the store damaged. */
  readonly onDamage?: string | undefined;
  /** After each drill, also one that failed or could not be carried out; not after a rehearsal. */
  readonly afterDrill?: string | undefined;
  /** How long each may take, default 30 s. */
  readonly timeoutMs?: number | undefined;
}

/** What a hook gets: the body of a webhook, the standard input of a command. */
export interface HookDocument {
  readonly hook: HookName;
  readonly store: string;
  readonly remote: string;
  readonly host: string;
  /** When the hook was called, ISO 8601, by this host's clock. */
  readonly at: string;
  /** After success: the operation's result, as --json prints it. */
  readonly result?: { readonly type: string; readonly id?: string };
  /** After a failure. */
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

export type HookAction =
  { readonly type: 'command'; readonly command: string } | { readonly type: 'webhook'; readonly url: URL };

/** The limits and the output of a running hook. */
export interface HookCall {
  readonly signal: AbortSignal;
  /** When an aborted command is killed at the latest, monotonic; Infinity without a limit. */
  readonly killAtMs: () => number;
  /** A line that a command printed. */
  readonly onLine: (line: string) => void;
}

/** Throws USAGE for an invalid URL, without quoting it. */
export function parseHooks(hooks: Hooks): ReadonlyMap<HookName, HookAction> {
  const texts: readonly (readonly [HookName, string | undefined])[] = [
    ['before-backup', hooks.beforeBackup],
    ['after-backup', hooks.afterBackup],
    ['before-restore', hooks.beforeRestore],
    ['after-restore', hooks.afterRestore],
    ['on-damage', hooks.onDamage],
    ['after-drill', hooks.afterDrill],
  ];
  const actions = new Map<HookName, HookAction>();
  for (const [name, text] of texts) if (text !== undefined) actions.set(name, parseHook(name, text.trim()));
  return actions;
}

function parseHook(name: HookName, text: string): HookAction {
  if (!/^https?:/i.test(text)) return { type: 'command', command: text };
  if (URL.canParse(text)) return { type: 'webhook', url: new URL(text) };
  throw new SyncAgentError('USAGE', `Cannot use the ${name} hook: its URL cannot be understood`, {
    remedy: 'Write https://host/path, special characters percent-encoded',
  });
}
