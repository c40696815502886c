/**
 * The texts of the values of a JSON object, by key. Numbers keep the form in which they were sent: `5.0` is a floating-point number to
 * Chroma and `5` an integer, and JSON.parse makes them one. Undefined if `text` is no object.
 */
export function memberTexts(text: string): ReadonlyMap<string, string> | undefined {
  const members = new Map<string, string>();
  for (const part of partsOf(text, '{', '}') ?? []) {
    const keyEnd = endOfString(part, part.indexOf('"'));
    const colon = part.indexOf(':', keyEnd);
    if (colon === -1) return undefined;
    members.set(JSON.parse(part.slice(part.indexOf('"'), keyEnd)) as string, part.slice(colon + 1).trim());
  }
  return text.trimStart().startsWith('{') ? members : undefined;
}

/** The texts of the elements of a JSON array, as `memberTexts`. Undefined if `text` is no array. */
export function elementTexts(text: string): readonly string[] | undefined {
  return partsOf(text, '[', ']')?.map((part) => part.trim());
}

/** What stands between the commas of the outermost brackets. The text must be JSON. */
function partsOf(text: string, open: '{' | '[', close: '}' | ']'): string[] | undefined {
  const start = text.indexOf(open);
  const end = text.lastIndexOf(close);
  if (start === -1 || end < start || text.slice(0, start).trim() !== '') return undefined;
  const parts: string[] = [];
  let depth = 0;
  let from = start + 1;
  for (let at = nextMark(text, from, depth); at < end;) {
    const sign = text[at];
    if (sign === '{' || sign === '[') depth += 1;
    else if (sign === '}' || sign === ']') depth -= 1;
    else if (sign === ',') {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
    at = nextMark(text, sign === '"' ? endOfString(text, at) : at + 1, depth);
  }
  if (parts.length > 0 || text.slice(from, end).trim() !== '') parts.push(text.slice(from, end));
  return parts;
}

const outerMarks = /["{}[\],]/g;
/** Within brackets commas do not count. Vectors are mostly commas. */
const innerMarks = /["{}[\]]/g;

function nextMark(text: string, from: number, depth: number): number {
  const marks = depth === 0 ? outerMarks : innerMarks;
  marks.lastIndex = from;
  return marks.exec(text)?.index ?? text.length;
}

/** The index after the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at === -1) return text.length;
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}
