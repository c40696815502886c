/** What a run counted and found. */
export class Figures {
  readonly findings: string[] = [];
  readonly counts = new Map<string, number>();
  /** From the oldest acknowledged write that was lost to the loss of the machine, milliseconds; 0 if none was. */
  readonly lostMs: { readonly ms: number; readonly isCalm: boolean }[] = [];
  acknowledged = 0;
  compared = 0;

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  toJSON(): Readonly<Record<string, unknown>> {
    const spread = (all: readonly number[]): object | null =>
      all.length === 0
        ? null
        : {
            rounds: all.length,
            medianMs: all.toSorted((a, b) => a - b)[all.length >> 1],
            worstMs: Math.max(...all),
          };
    return {
      counts: Object.fromEntries([...this.counts].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      acknowledgedRecords: this.acknowledged,
      comparedRecords: this.compared,
      lossWithoutTrouble: spread(this.lostMs.filter(({ isCalm }) => isCalm).map(({ ms }) => ms)),
      lossWithTrouble: spread(this.lostMs.filter(({ isCalm }) => !isCalm).map(({ ms }) => ms)),
      violations: this.findings.length,
    };
  }
}
