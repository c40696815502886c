/** What a run counted, timed and found. */
export class Figures {
  readonly findings: string[] = [];
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #times = new Map<string, number[]>();
  readonly #started = performance.now();

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  count(group: string, name: string, by = 1): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>();
    this.#counts.set(group, counts);
    counts.set(name, (counts.get(name) ?? 0) + by);
  }

  time(name: string, ms: number): void {
    const times = this.#times.get(name) ?? [];
    this.#times.set(name, times);
    times.push(ms);
  }

  /** The median of what was timed so far; undefined before the first. */
  median(name: string): number | undefined {
    const times = this.#times.get(name)?.toSorted((a, b) => a - b);
    return times?.[times.length >> 1];
  }

  find(message: string): void {
    this.findings.push(`at ${this.seconds.toFixed(0)} s: ${message}`);
  }

  toJSON(): Record<string, unknown> {
    const times = [...this.#times].map(([name, all]) => [
      name,
      {
        runs: all.length,
        medianMs: Math.round(this.median(name) ?? 0),
        worstMs: Math.round(Math.max(...all)),
      },
    ]);
    return {
      seconds: Math.round(this.seconds),
      counts: Object.fromEntries([...this.#counts].map(([group, counts]) => [group, sorted(counts)])),
      times: Object.fromEntries(times) as unknown,
      findings: this.findings,
    };
  }

  report(): string {
    const groups = [...this.#counts].map(([group, counts]) => {
      const parts = Object.entries(sorted(counts)).map(([name, count]) => `${name} ${count}`);
      return `${group}: ${parts.join(', ')}`;
    });
    const times = [...this.#times].map(
      ([name, all]) =>
        `${name}: ${all.length} times, median ${seconds(this.median(name) ?? 0)}, worst ${seconds(Math.max(...all))}`,
    );
    const found = this.findings.length === 0 ? ['no findings'] : [`FINDINGS: ${this.findings.length}`];
    return [...groups, ...times, ...found, ...this.findings.map((each) => `  ${each}`)].join('\n');
  }
}

const sorted = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1000 ? 3 : 1)} s`;
