import { forEachEffect } from './each-effect.ts';
import { Power } from './power.ts';
import type { CutMode } from './power.ts';

/**
 * Calls `suffer` with a power that is cut at the first effect, at the next, and so on until it is cut no more: before the effect, and
 * once more in its middle if it can happen by half. `since`: the first effect at which it is. Resolves to the last effect at which it was cut.
 */
export async function cutEverywhere(
  suffer: (power: Power) => Promise<void>,
  { since, ...options }: Parameters<typeof forEachEffect>[1] & { readonly since?: RegExp | undefined } = {},
): Promise<number> {
  const cutOnce = async (n: number, mode: CutMode): Promise<Power> => {
    const power = new Power(n, mode, since);
    try {
      await suffer(power);
      return power;
    } catch (error) {
      throw new Error(`cut ${mode} effect ${n}: ${power.effects.at(-1)}`, { cause: error });
    }
  };
  return forEachEffect(async (n) => {
    const power = await cutOnce(n, 'before');
    if (power.isCut && power.isDivisible) await cutOnce(n, 'half');
    return power.isCut;
  }, options);
}

/** Waits for what a cut may end. Another error is one. */
export async function untilCut(power: Power, work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!power.isCut) throw error;
  });
}
