import { hostname } from 'node:os';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { createDaemon } from '../agent/create-daemon.ts';
import type { Daemon, DaemonSettings } from '../agent/daemon.ts';
import type { CopyTarget } from '../api/copy-operations.ts';
import type { OperationsFor } from '../api/operations.ts';
import type { HttpSettings } from '../web/http-address.ts';
import type { AgentView } from '../web/routes.ts';
import type { HttpServer } from '../web/server.ts';
import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import type { OperationSettings } from '../operations/operation-protocol.ts';
import { operationsInProcesses } from '../operations/operation-process.ts';
import { parseRemote } from '../remotes/remote-url.ts';
import { nodeFileSystem } from '../platform/file-system.ts';
import { ownedFileSystem } from '../home/owner.ts';
import { locateHome } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import { libraryDefaults } from '../settings/library-settings.ts';
import { defaultOf } from '../settings/settings.ts';
import { agentTable } from '../settings/tables/agent-table.ts';
import { version } from '../version.ts';

export interface SyncAgentSettings extends OperationSettings {
  /** Minimum time between snapshots, and the longest that a change waits for one; default an hour, 0: only at fixed times. */
  readonly intervalMs?: number | undefined;
  /** How long the store should be quiet after a change; default 2 s. Never delays a backup much. */
  readonly settleMs?: number | undefined;
  /** Additional fixed times: a cron expression of five or six fields in this host's time zone. */
  readonly cron?: string | undefined;
  /** How changes are noticed; default `auto`: the system's events as long as they can be trusted. */
  readonly detect?: DaemonSettings['detect'] | undefined;
  /** How often the files' times are polled, beside the events; default 30 s. */
  readonly pollIntervalMs?: number | undefined;
  /**
   * Saves each write of a Chroma store `intervalMs` after it (default 2 s), behind the newest snapshot. Snapshots are then made every 24 hours,
   * unless `intervalMs` of the agent says otherwise.
   */
  readonly continuous?: { readonly intervalMs?: number | undefined } | undefined;
  /** Time between checks of the store while the agent runs; default 0: none. */
  readonly checkIntervalMs?: number | undefined;
  /** URL of the running Chroma server, which these checks ask too. */
  readonly checkServer?: string | undefined;
  /** Time between drills while the agent runs; default 0: none. */
  readonly drillIntervalMs?: number | undefined;
  /** Command that starts a server for drills, with `{dir}` and `{port}` in it, or `off`; default: `chroma`, if it is installed. */
  readonly drillServer?: string | undefined;
  /** Second remote that a started agent copies its newest snapshot to: a URL, or its own settings. */
  readonly copyTo?: string | CopyTarget | undefined;
  /** Minimum time between these copies; default an hour. */
  readonly copyIntervalMs?: number | undefined;
  /** Where a started agent serves its status page, health and metrics; default: nowhere. */
  readonly http?: HttpSettings | undefined;
}

export interface DaemonPorts {
  readonly clock?: Clock | undefined;
  /** The command that the agent runs as, for messages of others that find the store taken. */
  readonly command: string;
  /** Instead of operations in processes of their own. */
  readonly operationsFor?: OperationsFor | undefined;
  readonly emit: (event: AgentEvent | DaemonEvent) => void;
}

export const defaultSchedule = {
  ...libraryDefaults(agentTable),
  shutdownBudgetMs: defaultOf('shutdownBudget'),
};

const dayMs = 24 * 3_600_000;
export const defaultContinuousMs = 2000;

/** An operation waits for a backup by hand, which is soon over. The backup by hand itself does not wait. */
export const defaultLockWaitMs = 30_000;

/** Puts a daemon together from real parts. It watches, serves and asks nothing before `claim` or `start`. */
export async function openDaemon(
  settings: SyncAgentSettings,
  { clock = systemClock, command, operationsFor, emit }: DaemonPorts,
): Promise<Daemon> {
  const home = { ...(await locateHome(settings.store)), exclude: settings.exclude };
  const { continuous } = settings;
  const daemon = createDaemon({
    settings: {
      intervalMs: settings.intervalMs ?? (continuous === undefined ? defaultSchedule.intervalMs : dayMs),
      settleMs: settings.settleMs ?? defaultSchedule.settleMs,
      cron: settings.cron ?? null,
      detect: settings.detect ?? defaultSchedule.detect,
      pollIntervalMs: settings.pollIntervalMs ?? defaultSchedule.pollIntervalMs,
      leaseMs: settings.leaseMs ?? null,
      continuousMs: continuous === undefined ? null : (continuous.intervalMs ?? defaultContinuousMs),
      checkIntervalMs: settings.checkIntervalMs ?? defaultSchedule.checkIntervalMs,
      checkServer: settings.checkServer,
      drillIntervalMs: settings.drillIntervalMs ?? defaultSchedule.drillIntervalMs,
      drillServer: settings.drillServer,
      copyTo: settings.copyTo,
      copyIntervalMs: settings.copyIntervalMs ?? defaultSchedule.copyIntervalMs,
    },
    home,
    remote: parseRemote(settings.remote).url,
    version,
    host: settings.host ?? hostname(),
    command,
    operationsFor:
      operationsFor ??
      ((observer) =>
        operationsInProcesses(
          { ...settings, lockWaitMs: settings.lockWaitMs ?? defaultLockWaitMs },
          command === 'library' ? observer : { ...observer, program: `sync-agent ${command}` },
        )),
    clock,
    fs: await ownedFileSystem(nodeFileSystem, home, {
      owner: settings.owner,
      // The operations warn.
      onWarning: () => undefined,
    }),
    emit,
  });
  return settings.http === undefined ? daemon : withHttp(daemon, home, settings.http);
}

/** Serves from the claim on, so that people see it restore. */
function withHttp(daemon: Daemon, home: Home, settings: HttpSettings): Daemon {
  let server: HttpServer | undefined;
  const claim = async (): Promise<void> => {
    await daemon.claim();
    if (server !== undefined) return;
    const { startHttpServer } = await import('../web/server.ts');
    const view: AgentView = {
      status: () => daemon.status(),
      notify: async () => daemon.notify(),
      flush: (options) => daemon.flush(options),
      subscribe: (listener) => daemon.subscribe(listener),
      look: async () => {
        const { lookAtDisk } = await import('../web/disk-facts.ts');
        return lookAtDisk(home, daemon.status().remote, Date.now());
      },
    };
    server = await startHttpServer(view, { ...settings, emit: (event) => daemon.tell(event) });
    daemon.tell({ type: 'listening', url: server.url });
  };
  return {
    ...daemon,
    claim,
    start: async (options) => {
      await claim();
      await daemon.start(options);
    },
    close: async () => {
      await server?.close();
      server = undefined;
      await daemon.close();
    },
  };
}
