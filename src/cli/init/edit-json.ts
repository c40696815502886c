import { isDeepStrictEqual } from 'node:util';
import { applyEdits, findNodeAtLocation, modify, parseTree } from 'jsonc-parser';
import type { Node } from 'jsonc-parser';

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
 * Sets one property in a JSON text and leaves every other character as it is; an edit of jsonc-parser would format the
 * neighbours, too. Missing objects on the way are made. A new member goes before the member named `before`, if there is one,
 * else to the end. `text` must be a JSON object.
 */
export function setInJson(
  text: string,
  path: readonly string[],
  value: unknown,
  { before }: { readonly before?: string } = {},
): string {
  const root = parseTree(withoutMark(text));
  const style = styleOf(text);
  // The innermost object that is there already.
  const depth = path.findLastIndex((_, index) => nodeAt(root, path.slice(0, index))?.type === 'object');
  const parent = nodeAt(root, path.slice(0, depth));
  if (parent === undefined) throw new TypeError('The text must be a JSON object');
  const made = path.slice(depth + 1).reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  const json = format(made, style, depth + 1);

  const present = nodeAt(root, path.slice(0, depth + 1));
  if (present !== undefined) return splice(text, present, json);
  const member = `${JSON.stringify(path[depth])}: ${json}`;
  const members = parent.children ?? [];
  const line = lineOf(style, depth + 1);
  const [first, last] = [members[0], members.at(-1)];
  if (first === undefined || last === undefined)
    return splice(text, parent, `{${line}${member}${lineOf(style, depth)}}`);
  const separator = text.slice(parent.offset, first.offset).includes('\n') ? line : ' ';
  const next =
    depth === path.length - 1 ? members.find((each) => each.children?.[0]?.value === before) : undefined;
  return next === undefined
    ? splice(text, { offset: last.offset + last.length, length: 0 }, `,${separator}${member}`)
    : splice(text, { offset: next.offset, length: 0 }, `${member},${separator}`);
}

/** Turns the object `before`, which is at `path` in a JSON text, into `after`. What is the same in both keeps its characters. */
export function changeInJson(
  text: string,
  path: readonly string[],
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string {
  let changed = text;
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key))
      changed = applyEdits(changed, modify(withoutMark(changed), [...path, key], undefined, {}));
  }
  for (const [key, value] of Object.entries(after)) {
    const old = before[key];
    if (isDeepStrictEqual(old, value)) continue;
    changed =
      isObject(old) && isObject(value)
        ? changeInJson(changed, [...path, key], old, value)
        : setInJson(changed, [...path, key], value);
  }
  return changed;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A byte order mark would not parse. A space leaves all offsets as they are. */
function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, ' ');
}

function nodeAt(root: Node | undefined, path: readonly string[]): Node | undefined {
  return root === undefined ? undefined : findNodeAtLocation(root, [...path]);
}

function format(value: unknown, style: JsonStyle, depth: number): string {
  if (style.isInline) return JSON.stringify(value);
  return JSON.stringify(value, null, style.indent).replaceAll('\n', lineOf(style, depth));
}

/** What begins a line at this depth. */
function lineOf({ indent, newline, isInline }: JsonStyle, depth: number): string {
  return isInline ? '' : newline + indent.repeat(depth);
}

function splice(
  text: string,
  { offset, length }: Pick<Node, 'offset' | 'length'>,
  replacement: string,
): string {
  return text.slice(0, offset) + replacement + text.slice(offset + length);
}
