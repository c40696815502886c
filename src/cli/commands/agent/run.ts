import { findWriters } from '../../../run/find-writers.ts';
import type { Daemon } from '../../../agent/daemon.ts';
import type { StoreRecovery } from '../../../run/store-keeper.ts';
import type { RestoreResult } from '../../../engine/restore/restore.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { Phase } from '../../../platform/events.ts';
import { locateHome } from '../../../home/home.ts';
import type { Command } from '../command.ts';
import { openAgent } from './open-agent.ts';
import { superviseCommand } from './supervise-command.ts';

export const runCommand: Command = superviseCommand(
  async ({ config, flags }, { skipBackup, waitForLeaseMs, mustHandOver }) => {
    const { store } = await locateHome(config.store ?? '');
    const daemon = await openAgent(config, `run -- ${flags.list('command')[0] ?? ''}`);
    return {
      keeper: {
        restore: async ({ signal }) => {
          await daemon.claim();
          if (typeof config.lease === 'number') {
            const onTimeout = mustHandOver ? 'fail' : 'take-over';
            await daemon.takeLease({ waitMs: waitForLeaseMs ?? 0, onTimeout, signal });
          } else if (waitForLeaseMs !== undefined) {
            await daemon.operate({
              operation: 'lease',
              reason: null,
              work: (operations) =>
                operations.waitForLease({
                  waitMs: waitForLeaseMs,
                  onTimeout: mustHandOver ? 'fail' : 'continue',
                  signal,
                }),
            });
          }
          const result = await daemon.operate({
            operation: 'restore',
            reason: null,
            work: (operations) => operations.restore({ skipBackup, signal }),
          });
          assertAgreed(result);
        },
        start: () => daemon.start(),
        stop: (options) => daemon.stop(options),
        onProgress: (listener) =>
          daemon.subscribe(({ event }) => {
            if (event.type === 'phase' || event.type === 'progress') listener(isLocal(event.phase));
          }),
        findWriters: () => findWriters(store, config.exclude),
        recovery: config.onDamage === 'recover' ? recoveryBy(daemon) : undefined,
      },
      emit: (event) => daemon.tell(event),
      close: () => daemon.close(),
    };
  },
);

/** Only a store that a check found damaged just now is recovered, not one that it had found damaged before. */
function recoveryBy(daemon: Daemon): StoreRecovery {
  return {
    onDamage: (listener) =>
      daemon.subscribe(({ event }) => {
        if (event.type === 'checked' && !event.isSound && !event.isUnchanged) listener();
      }),
    recover: async ({ signal }) => {
      const result = await daemon.operate(
        {
          operation: 'restore',
          reason: null,
          work: (operations, either) => operations.restore({ signal: either }),
        },
        { signal },
      );
      if (result.type !== 'restored')
        throw new SyncAgentError('STORE_CORRUPT', `nothing was restored: ${result.type}`);
    },
  };
}

const isLocal = (phase: Phase): boolean => phase === 'capture' || phase === 'validate';

function assertAgreed(result: RestoreResult): void {
  if (result.type !== 'diverged') return;
  throw new SyncAgentError(
    'DIVERGED',
    `Cannot start: the store and the remote have diverged, since ${result.why}`,
    {
      remedy:
        'To take the newest snapshot, type "sync-agent restore --force": this store is kept as a rollback copy. ' +
        'To keep both, type "sync-agent backup": this store becomes the newest snapshot, the others stay. ' +
        'To start with this store as it is, add --on-error continue',
    },
  );
}
