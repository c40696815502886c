import { existsSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../..', import.meta.url));
export const readDocument = (path: string): string => readFileSync(resolve(repository, path), 'utf8');

/** Code blocks, line by line, and code spans. */
export function codeOf(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^ *```[a-z]*\n(.*?)^ *```/gms)].flatMap(([, block = '']) =>
    block.split('\n'),
  );
  const spans = [...text.replace(/^ *```.*?^ *```/gms, '').matchAll(/`([^`]+)`/g)].map(
    ([, span = '']) => span,
  );
  return [...blocks.map((line) => line.replace(/#.*$/, '')), ...spans];
}

/** The links of a document to files or headings that are not there. */
export function brokenLinks(path: string): readonly string[] {
  return [...readDocument(path).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = '', anchor] = target.split('#');
      const place = file === '' ? resolve(repository, path) : resolve(repository, dirname(path), file);
      if (!existsSync(place)) return true;
      return anchor !== undefined && !anchorsOf(readDocument(relative(repository, place))).includes(anchor);
    });
}

/** As GitHub makes them. */
function anchorsOf(text: string): readonly string[] {
  return [...text.replace(/^ *```.*?^ *```/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
