import type { Agent, CallOptions } from '../../api/agent.ts';
import type { RebuildWait } from '../../api/sync-agent.ts';
import { assertBuildable } from '../../engine/rebuild/assert-buildable.ts';
import type { RebuildOptions, RebuildResult } from '../../engine/rebuild/place-build.ts';
import { openBuildPlace } from '../../home/build-place.ts';
import type { AgentSettings } from '../../in-process/agent-settings.ts';
import { loggedAccess } from '../../in-process/logged-access.ts';
import { openStoreAccess } from '../../in-process/store-access.ts';
import type { AgentPorts } from '../../in-process/store-access.ts';
import type { Clock } from '../../platform/clock.ts';
import { isSyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { Emit } from '../../platform/events.ts';

/** Builds a store aside: `SyncAgent.rebuild`. */
export type Rebuild = (
  build: (dir: string) => unknown,
  options?: RebuildOptions & RebuildWait & CallOptions,
) => Promise<RebuildResult>;

export interface RebuilderOptions extends Pick<AgentPorts, 'fs' | 'diskSpace' | 'locateHome'> {
  /** What checks the new store and puts it in its place. */
  readonly calls: Pick<Agent, 'placeBuild'>;
  readonly clock: Clock;
  readonly emit: Emit;
  /** For the operation log. Default: the script that this process runs. */
  readonly program?: string | undefined;
}

/** The pause between two looks whether the old store is still in use. */
const pauseMs = 1000;

/** This process holds the lock of the build and writes the operation log; `calls` do the rest. Opens no remote. */
export function createRebuilder(
  settings: AgentSettings,
  { calls, clock, emit, program, ...ports }: RebuilderOptions,
): Rebuild {
  const access = openStoreAccess({ ...settings, remote: '' }, { clock, emit, ...ports });
  const log = loggedAccess(access, { clock, emit, host: settings.host, program });

  const placeIt = async (
    id: string,
    { waitMs = 0, ...options }: RebuildOptions & RebuildWait & CallOptions,
  ): Promise<RebuildResult> => {
    const deadline = clock.monotonic() + waitMs;
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await calls.placeBuild(id, options);
      } catch (error) {
        if (!isSyncAgentError(error, 'BUSY') || clock.monotonic() >= deadline) throw error;
        if (isFirst) emit({ type: 'warning', code: 'BUSY', message: `${error.message}: waiting for it` });
        await clock.sleep(pauseMs, { signal: options.signal });
      }
    }
  };

  return (build, options = {}) => {
    const { signal, allowShrink } = options;
    return log.call('rebuild', options, async () => {
      throwIfAborted(signal, 'The rebuild');
      const id = clock.randomHex(8);
      const place = await access.keep(
        'rebuild',
        async (context) => {
          await assertBuildable(context, { allowShrink });
          return openBuildPlace(context.fs, context.home, id);
        },
        signal,
      );
      try {
        await build(place.dir);
        throwIfAborted(signal, 'The rebuild');
        return await placeIt(id, options);
      } finally {
        await place.close();
      }
    });
  };
}
