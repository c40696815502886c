/** What a JSON text looks like, so that what is added looks the same. */
export interface JsonStyle {
  readonly indent: string;
  readonly newline: string;
  /** All of it is one line. */
  readonly isInline: boolean;
}

export function styleOf(text: string): JsonStyle {
  return {
    indent: /\n([ \t]+)"/.exec(text)?.[1] ?? '  ',
    newline: text.includes('\r\n') ? '\r\n' : '\n',
    isInline: text.includes('{') && !text.trim().includes('\n'),
  };
}

/**
 * Sets one property in a JSON text and leaves every other character as it is. The objects on the way are made if they
 * are missing. A new member goes before the member named `before`, if there is one, else to the end.
 * `text` must be a JSON object.
 */
export function setInJson(
  text: string,
  path: readonly string[],
  value: unknown,
  { before }: { readonly before?: string } = {},
): string {
  const style = styleOf(text);
  let start = text.indexOf('{');
  for (const [depth, key] of path.entries()) {
    const rest = path.slice(depth + 1);
    const isLast = rest.length === 0;
    const { members, end } = membersOf(text, start);
    const found = members.find((member) => member.key === key);
    if (found !== undefined && !isLast && text[found.valueStart] === '{') {
      start = found.valueStart;
      continue;
    }
    const made = rest.reduceRight<unknown>((inner, each) => ({ [each]: inner }), value);
    const json = format(made, style, depth + 1);
    if (found !== undefined) return splice(text, found.valueStart, found.valueEnd, json);
    return insert(text, { members, start, end }, `${JSON.stringify(key)}: ${json}`, {
      style,
      depth: depth + 1,
      before: isLast ? members.find((member) => member.key === before) : undefined,
    });
  }
  return text;
}

interface Member {
  readonly key: string;
  readonly keyStart: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

interface ObjectText {
  readonly members: readonly Member[];
  readonly start: number;
  /** Where its closing brace is. */
  readonly end: number;
}

function insert(
  text: string,
  { members, start, end }: ObjectText,
  member: string,
  { style, depth, before }: { style: JsonStyle; depth: number; before: Member | undefined },
): string {
  const line = lineOf(style, depth);
  const first = members[0];
  const last = members.at(-1);
  if (first === undefined || last === undefined) {
    return splice(text, start + 1, end, line + member + lineOf(style, depth - 1));
  }
  const separator = text.slice(start, first.keyStart).includes('\n') ? line : ' ';
  return before === undefined
    ? splice(text, last.valueEnd, last.valueEnd, `,${separator}${member}`)
    : splice(text, before.keyStart, before.keyStart, `${member},${separator}`);
}

function format(value: unknown, style: JsonStyle, depth: number): string {
  if (style.isInline) return JSON.stringify(value);
  return JSON.stringify(value, null, style.indent).replaceAll('\n', lineOf(style, depth));
}

/** What begins a line at this depth. */
function lineOf({ indent, newline, isInline }: JsonStyle, depth: number): string {
  return isInline ? '' : newline + indent.repeat(depth);
}

function splice(text: string, from: number, to: number, replacement: string): string {
  return text.slice(0, from) + replacement + text.slice(to);
}

/** The members of the object whose brace is at `start`. */
function membersOf(
  text: string,
  start: number,
): Pick<ObjectText, 'members' | 'end'> & { readonly start: number } {
  const members: Member[] = [];
  let at = skipSpace(text, start + 1);
  while (text[at] === '"') {
    const keyEnd = endOfValue(text, at);
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const valueEnd = endOfValue(text, valueStart);
    members.push({ key: JSON.parse(text.slice(at, keyEnd)) as string, keyStart: at, valueStart, valueEnd });
    const next = skipSpace(text, valueEnd);
    at = text[next] === ',' ? skipSpace(text, next + 1) : next;
  }
  return { members, start, end: at };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (/\s/.test(text[at] ?? '')) at += 1;
  return at;
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s,:{}[\]"]+/gy;

/** Past the value that begins at `from`. */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length;) {
    token.lastIndex = at;
    const [found] = token.exec(text) ?? [];
    if (found === undefined) {
      at += 1;
      continue;
    }
    at += found.length;
    if (found === '{' || found === '[') depth += 1;
    if (found === '}' || found === ']') depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}
