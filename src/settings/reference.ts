import { flagOf, variableOf } from './setting.ts';
import { libraryNameOf } from './library-settings.ts';
import { settingKeys, settingNamed } from './settings.ts';
import type { SettingKey } from './settings.ts';

const [begin, end] = ['<!-- settings: written by npm run docs -->', '<!-- end of settings -->'];

/** docs/configuration.md with the table that belongs between its markers. */
export function withReferenceTable(page: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`The page needs "${begin}" and "${end}"`);
  return `${page.slice(0, from)}${begin}\n\n${referenceTable()}\n\n${page.slice(to)}`;
}

/** All settings, as a Markdown table. */
function referenceTable(): string {
  return [
    '| flag | environment | file | library | default | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...settingKeys.map(row),
  ].join('\n');
}

function row(key: SettingKey): string {
  const setting = settingNamed(key);
  const { kind, help, details, default: fallback, defaultNote = fallback } = setting;
  const library = libraryNameOf(setting);
  const cells = [
    `\`--${flagOf(key)}\``,
    `\`${variableOf(key)}\``,
    `\`${key}\``,
    library === undefined ? '' : `\`${library}\``,
    (kind.flag === 'switch' ? undefined : defaultNote) ?? '',
    details === undefined ? help : `${help}. ${details}`,
  ];
  return `|${cells.map((cell) => (cell === '' ? ' ' : ` ${cell} `)).join('|')}|`;
}
