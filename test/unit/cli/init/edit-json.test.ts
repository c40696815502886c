import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeInJson, setInJson } from '../../../../src/cli/init/edit-json.ts';

const script = (text: string): string =>
  setInJson(text, ['scripts', 'prestart'], 'sync-agent restore', { before: 'start' });

describe('a property set in a JSON text', () => {
  it('goes before the member it belongs to, and nothing else moves', () => {
    const text =
      '{\n\t"files": ["a",  "b"],\n\t"scripts": {\n\t\t"test" : "x",\n\t\t"start": "node ."\n\t}\n}\n\n';
    expect(script(text)).toBe(
      '{\n\t"files": ["a",  "b"],\n\t"scripts": {\n\t\t"test" : "x",\n\t\t"prestart": "sync-agent restore",\n\t\t"start": "node ."\n\t}\n}\n\n',
    );
  });

  it('goes to the end where there is no such member', () => {
    expect(script('{\n    "scripts": {\n        "test": "x"\n    }\n}')).toBe(
      '{\n    "scripts": {\n        "test": "x",\n        "prestart": "sync-agent restore"\n    }\n}',
    );
  });

  it('makes the objects that are missing, in the style of the rest', () => {
    expect(script('{\r\n  "name": "x"\r\n}\r\n')).toBe(
      '{\r\n  "name": "x",\r\n  "scripts": {\r\n    "prestart": "sync-agent restore"\r\n  }\r\n}\r\n',
    );
    expect(script('{"name":"x"}')).toBe('{"name":"x", "scripts": {"prestart":"sync-agent restore"}}');
    expect(script('{}\n')).toBe('{"scripts": {"prestart":"sync-agent restore"}}\n');
    expect(script('{\n  "scripts": {}\n}')).toBe(
      '{\n  "scripts": {\n    "prestart": "sync-agent restore"\n  }\n}',
    );
  });

  it('replaces the value that is there, also one that is no object', () => {
    expect(script('{"scripts": {"prestart": "old \\" } x", "start": ""}}')).toBe(
      '{"scripts": {"prestart": "sync-agent restore", "start": ""}}',
    );
    expect(script('{"scripts": null}')).toBe('{"scripts": {"prestart":"sync-agent restore"}}');
  });

  it('reads as the same document with that property, whatever the document', () => {
    const documents = fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.jsonValue(),
    );
    const indents = fc.constantFrom('', '  ', '\t');
    fc.assert(
      fc.property(documents, indents, fc.string(), fc.jsonValue(), (document, indent, key, value) => {
        fc.pre(key !== '__proto__');
        const text = JSON.stringify(document, null, indent);
        const edited = JSON.parse(setInJson(text, ['outer', key], value)) as unknown;
        const outer = document['outer'];
        const inner = typeof outer === 'object' && outer !== null && !Array.isArray(outer) ? outer : {};
        const expected = { ...document, outer: { ...inner, [key]: value } };
        expect(edited).toEqual(JSON.parse(JSON.stringify(expected)));
      }),
    );
  });
});

describe('an object changed in a JSON text', () => {
  it('keeps the characters of what stays the same', () => {
    const text =
      '{\n    "exclude": ["*.log",   "/cache/"],\n    "remote" : "old", "s3": {"region": "x",  "partSize": "16MiB"},\n    "keep": 7\n}\n';
    const before = JSON.parse(text) as Record<string, unknown>;
    const { keep: _, ...others } = before;
    const after = { ...others, remote: 'new', s3: { partSize: '16MiB' }, store: './data' };
    expect(changeInJson(text, [], before, after)).toBe(
      '{\n    "exclude": ["*.log",   "/cache/"],\n    "remote" : "new", "s3": {"partSize": "16MiB"},\n    "store": "./data"\n}\n',
    );
  });

  it('may begin with a byte order mark', () => {
    const text = '\uFEFF{ "keep": 7, "store": "./a" }';
    expect(changeInJson(text, [], { keep: 7, store: './a' }, { store: './b' })).toBe(
      '\uFEFF{"store": "./b" }',
    );
  });

  it('reads as the object wanted, whatever both are', () => {
    const objects = fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__')),
    );
    fc.assert(
      fc.property(objects, objects, fc.constantFrom('', '  ', '\t'), (before, after, indent) => {
        const plain = JSON.parse(JSON.stringify({ before, after })) as Record<
          string,
          Record<string, unknown>
        >;
        const text = JSON.stringify({ outer: plain['before'] }, null, indent);
        const changed = changeInJson(text, ['outer'], plain['before'] ?? {}, plain['after'] ?? {});
        expect(JSON.parse(changed)).toEqual({ outer: plain['after'] });
      }),
    );
  });
});
