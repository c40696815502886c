const sizeUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `0 B`, `1.5 MiB`, `12 GiB`. */
export function formatBytes(bytes: number): string {
  let [amount, unit] = [bytes, 0];
  while (amount >= 1023.5 && unit < sizeUnits.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  const digits = unit > 0 && amount < 99.95 ? 1 : 0;
  return `${amount.toFixed(digits)} ${sizeUnits[unit] ?? ''}`;
}

/** `12,345`. `toLocaleString` takes 17 ms when it is first called. */
export function formatCount(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 record`, `12,345 records`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

const spans = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** The two largest units: `3d 4h`, `2m 5s`, `850ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms > 0 && ms < 1 ? '<1' : Math.round(ms)}ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toString()}s`;
  const first = spans.findIndex(([, span]) => ms >= span);
  const parts: string[] = [];
  let rest = ms;
  for (const [unit, span] of spans.slice(first, first + 2)) {
    const amount = Math.floor(rest / span);
    rest -= amount * span;
    if (amount > 0) parts.push(`${amount}${unit}`);
  }
  return parts.join(' ');
}

/** `3h 2m ago`. Clocks differ, so a moment in the future is `just now`. */
export function formatAge(ms: number): string {
  return ms < 1000 ? 'just now' : `${formatDuration(ms)} ago`;
}

/** When a snapshot was taken, by its host's clock, from its id; NaN for another text. */
export function timeOfSnapshot(id: string): number {
  return Date.parse(id.replace(/^(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2}\.\d{3}Z).*$/, '$1:$2:$3'));
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Lines of columns two spaces apart. Widths count characters, so style the lines and not the cells. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): readonly string[] {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) =>
    Math.max(...all.map((row) => Array.from(row[index] ?? '').length)),
  );
  return all.map((row) =>
    columns
      .map(({ align = 'left' }, index) => {
        const cell = row[index] ?? '';
        const padding = ' '.repeat((widths[index] ?? 0) - Array.from(cell).length);
        return align === 'right' ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** `label  value` lines, the values aligned. */
export function facts(entries: readonly (readonly [label: string, value: string])[]): readonly string[] {
  const width = Math.max(0, ...entries.map(([label]) => label.length));
  return entries.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`.trimEnd());
}

/** One line, without the control characters that names from elsewhere could send to a terminal. */
export function printable(text: string): string {
  return text
    .replace(/\s*[\r\n]+\s*/g, ' ')
    .replace(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu, '\uFFFD');
}

/** `2026-11-21 11:30:05Z`, or `an unknown time` for a value that is no time. */
export function formatUtc(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime())
    ? 'an unknown time'
    : date
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')
        .replace('T', ' ');
}
