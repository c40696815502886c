import { eitherSignal } from '../../../platform/abort-signals.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { Manifest } from '../../../log/manifest.ts';
import type { Arrival, StoreReport } from '../../../stores/adapter.ts';
import { enterPhase } from '../../context.ts';
import type { Context } from '../../context.ts';
import { messagesOf, soundnessOf } from '../../soundness/soundness.ts';

/** Opened once, for those who wait. */
class Gate {
  readonly opened: Promise<void>;
  #resolve: () => void = () => undefined;

  constructor() {
    this.opened = new Promise((resolve) => (this.#resolve = resolve));
  }

  open(): void {
    this.#resolve();
  }
}

/** The validation of a snapshot that may still be on its way, unless its bytes prove it. */
export class Inspection {
  readonly #context: Context;
  readonly #manifest: Manifest;
  readonly #dir: string;
  readonly #aborting = new AbortController();
  readonly #databases = new Gate();
  readonly #rest = new Gate();
  readonly #report: Promise<StoreReport> | undefined;

  /** Starts the thread that validates, which takes a moment. */
  constructor(context: Context, manifest: Manifest, dir: string) {
    this.#context = context;
    this.#manifest = manifest;
    this.#dir = dir;
    if (manifest.damage !== undefined || isProven(context, manifest)) return;
    const { signal, release } = eitherSignal(this.#aborting.signal, context.signal);
    const arrival = { databases: this.#databases.opened, rest: this.#rest.opened };
    this.#report = inspect({ ...context, signal }, manifest, { dir, arrival }).finally(release);
    // Whoever waits for it is told.
    this.#report.catch(() => undefined);
  }

  /** The databases are there. */
  begin(): void {
    this.#databases.open();
  }

  /** All files are there. */
  async end(): Promise<void> {
    this.#databases.open();
    this.#rest.open();
    await assertSound(this.#context, this.#manifest, this.#dir, { begun: this.#report });
  }

  async abort(): Promise<void> {
    this.#aborting.abort();
    // A kind may wait for these without looking at the signal.
    this.#databases.open();
    this.#rest.open();
    await this.#report?.catch(() => undefined);
  }
}

function tellRecorded({ emit }: Context, { id, damage = [], findings = [] }: Manifest): void {
  if (damage.length > 0) {
    emit({
      type: 'warning',
      code: 'STORE_CORRUPT',
      message: `The store was damaged when snapshot ${id} was made: ${messagesOf(damage)}`,
      remedy: 'Its server may lose records, refuse or crash',
    });
  }
  for (const { message, remedy } of findings)
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
}

/**
 * Whether the same checks found these bytes sound before the commit. Then their SHA-256, which the restore compares, says all. Another
 * version of the agent may know more, so it looks again.
 */
const isProven = ({ settings }: Context, { checkedBy }: Manifest): boolean =>
  checkedBy === settings.agent && settings.validation !== 'full';

export interface Begun {
  /** The inspection, if it has begun. */
  readonly begun?: Promise<StoreReport> | undefined;
  /** The files are not the snapshot's any more: its log was added. */
  readonly hasChanged?: boolean;
}

/**
 * Rejects with SNAPSHOT_CORRUPT if the verified files are not a sound store. Damage that the manifest records was accepted
 * when the snapshot was made.
 */
export async function assertSound(
  context: Context,
  manifest: Manifest,
  dir: string,
  { begun, hasChanged = false }: Begun = {},
): Promise<void> {
  tellRecorded(context, manifest);
  if (manifest.damage !== undefined || (!hasChanged && isProven(context, manifest))) return;
  enterPhase(context, 'validate');
  const { damage } = soundnessOf(await (begun ?? inspect(context, manifest, { dir })), manifest);
  if (damage.length > 0) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot restore snapshot ${manifest.id}: ${messagesOf(damage)}`,
    );
  }
}

async function inspect(
  { adapterNamed, phases, settings, signal }: Context,
  manifest: Manifest,
  { dir, arrival }: { readonly dir: string; readonly arrival?: Arrival },
): Promise<StoreReport> {
  const level = settings.validation === 'full' ? 'full' : 'proven';
  const report = adapterNamed(manifest.adapter).inspect(dir, { level, arrival, signal });
  report.catch(() => undefined);
  await arrival?.databases;
  return phases.measure('validate', () => report);
}
