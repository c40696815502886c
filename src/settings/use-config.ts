import { SyncAgentError } from '../platform/errors.ts';
import { defaultHttpAddress } from '../web/http-address.ts';
import type { HttpSettings } from '../web/http-address.ts';
import { remoteForms } from '../remotes/remote-url.ts';
import { inHookVariable } from './environment.ts';
import { librarySettings } from './library-settings.ts';
import type { LibrarySettings } from './library-settings.ts';
import { defaultOf } from './settings.ts';
import type { Config } from './settings.ts';

export type LocatedSettings = LibrarySettings & { readonly store: string; readonly remote: string };

/** The settings of an agent. USAGE without a remote: a default place for backups would be a trap. */
export function agentSettings(config: Config): LocatedSettings {
  if (config.remote === undefined) {
    throw new SyncAgentError('USAGE', 'Cannot work without a remote: none is configured', {
      remedy: `Run "sync-agent init", which asks for it; or add --remote ${remoteForms}; or set SYNC_AGENT_REMOTE`,
    });
  }
  return localSettings(config, config.remote);
}

/** As `agentSettings`, for calls that never touch the remote. */
export function localSettings(config: Config, remote = ''): LocatedSettings {
  const { hooks: _, ...settings } = librarySettings(config);
  return { ...settings, store: config.store ?? defaultOf('store'), remote };
}

/** Undefined if there is none, and inside a hook: a command that a hook calls must not call the hook again. */
export function hookSettings(
  config: Config,
  env: Readonly<NodeJS.ProcessEnv>,
): LibrarySettings['hooks'] | undefined {
  const { hooks } = librarySettings(config);
  const { timeoutMs: _, ...texts } = hooks ?? {};
  return Object.keys(texts).length === 0 || env[inHookVariable] ? undefined : hooks;
}

/** Null: serve nothing. */
export function httpSettings({ http, httpToken }: Config): HttpSettings | null {
  if (http === 'off') return null;
  return { ...(http ?? defaultHttpAddress), isPortFixed: http !== undefined, token: httpToken };
}

/** Time from the signal to stop until the exit, milliseconds. Platforms give 10 to 30 seconds, most of them 30. */
export function shutdownBudgetMs({ shutdownBudget = defaultOf('shutdownBudget') }: Config): number {
  return shutdownBudget;
}
