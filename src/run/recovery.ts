import { SyncAgentError, messageOf } from '../platform/errors.ts';
import type { DaemonEvent } from '../platform/events.ts';
import type { StoreKeeper, StoreRecovery } from './store-keeper.ts';
import type { WholeCommand } from './whole-command.ts';

/** Recovers a store that is found damaged while its command runs. */
export interface Recovery {
  /** Aborts when damage is found: then it is time for a round. */
  damage(): AbortSignal;
  /**
   * Stops the command, and restores. Afterwards the command runs if it was left alone, or has to be started again, whether or not the store
   * could be restored. Does not reject. `latch` ends the round: somebody asks to stop.
   */
  round(command: WholeCommand, latch: AbortSignal): Promise<void>;
  release(): void;
}

export interface RecoveryOptions {
  /** The time that a stop has. */
  readonly shutdownBudgetMs: number;
  readonly emit: (event: DaemonEvent) => void;
}

/** How often a damaged store is recovered while the command runs. */
const mostRounds = 3;
/** Of the budget of a stop: so long a command has to end before it is killed. */
const commandShare = 0.6;

export function createRecovery(
  keeper: Pick<StoreKeeper, 'findWriters'>,
  store: StoreRecovery,
  { shutdownBudgetMs, emit }: RecoveryOptions,
): Recovery {
  let damage = new AbortController();
  let rounds = 0;
  const release = store.onDamage(() => damage.abort());

  /** Why the command must not be stopped for this. */
  const objection = async (command: WholeCommand): Promise<string | undefined> => {
    if (rounds > mostRounds) return `it was damaged again after ${mostRounds} recoveries`;
    const stranger = (await keeper.findWriters()).find(({ pid }) => !command.owns(pid));
    return (
      stranger &&
      `pid ${stranger.pid} (${stranger.command}), which the application did not start, has the store open`
    );
  };

  return {
    damage: () => damage.signal,
    release,
    round: async (command, latch) => {
      // Damage that is found from now on begins another round.
      damage = new AbortController();
      const round = (rounds += 1);
      const giveUp = (why: string): void => emit({ type: 'recovery', state: 'given-up', round, why });
      const why = await objection(command);
      if (why !== undefined) return giveUp(why);
      emit({ type: 'recovery', state: 'began', round });
      const isEnded = await command.end(shutdownBudgetMs * commandShare, latch);
      if (latch.aborted) return;
      try {
        if (!isEnded || (await keeper.findWriters()).length > 0)
          throw new SyncAgentError('BUSY', 'the store is still open after the application was stopped');
        await store.recover({ signal: latch });
        emit({ type: 'recovery', state: 'done', round });
      } catch (error) {
        if (!latch.aborted) giveUp(messageOf(error));
      }
    },
  };
}
