import { eitherSignal } from '../../../platform/abort-signals.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { Manifest } from '../../../log/manifest.ts';
import type { StoreReport } from '../../../stores/adapter.ts';
import { enterPhase } from '../../context.ts';
import type { Context } from '../../context.ts';
import { messagesOf, soundnessOf } from '../../soundness/soundness.ts';

/** The validation of a snapshot that may still be on its way. */
export class Inspection {
  readonly #context: Context;
  readonly #manifest: Manifest;
  readonly #dir: string;
  readonly #aborting = new AbortController();
  #allThere: (() => void) | undefined;
  #report: Promise<StoreReport> | undefined;

  constructor(context: Context, manifest: Manifest, dir: string) {
    this.#context = context;
    this.#manifest = manifest;
    this.#dir = dir;
  }

  /** The databases are there. */
  begin(): void {
    if (this.#manifest.damage !== undefined) return;
    const rest = new Promise<void>((resolve) => (this.#allThere = resolve));
    const { signal, release } = eitherSignal(this.#aborting.signal, this.#context.signal);
    this.#report = inspect({ ...this.#context, signal }, this.#manifest, { dir: this.#dir, rest }).finally(
      release,
    );
    // Whoever waits for it is told.
    this.#report.catch(() => undefined);
  }

  /** All files are there. */
  async end(): Promise<void> {
    this.#allThere?.();
    await assertSound(this.#context, this.#manifest, this.#dir, this.#report);
  }

  async abort(): Promise<void> {
    this.#aborting.abort();
    // A kind may wait for this without looking at the signal.
    this.#allThere?.();
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
 * Rejects with SNAPSHOT_CORRUPT if the verified files are not a sound store. Damage that the manifest records was accepted
 * when the snapshot was made.
 */
export async function assertSound(
  context: Context,
  manifest: Manifest,
  dir: string,
  begun?: Promise<StoreReport>,
): Promise<void> {
  enterPhase(context, 'validate');
  tellRecorded(context, manifest);
  if (manifest.damage !== undefined) return;
  const { damage } = soundnessOf(await (begun ?? inspect(context, manifest, { dir })), manifest);
  if (damage.length > 0) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot restore snapshot ${manifest.id}: ${messagesOf(damage)}`,
    );
  }
}

function inspect(
  { adapterNamed, phases, settings, signal }: Context,
  manifest: Manifest,
  { dir, rest }: { readonly dir: string; readonly rest?: Promise<void> },
): Promise<StoreReport> {
  const level = settings.validation === 'full' ? 'full' : 'proven';
  return phases.measure('validate', () =>
    adapterNamed(manifest.adapter).inspect(dir, { level, rest, signal }),
  );
}
