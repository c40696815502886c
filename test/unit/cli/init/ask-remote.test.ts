import { expect, it } from 'vitest';
import type { Prompter } from '../../../../src/cli/init/ask/prompter.ts';
import { askRemote } from '../../../../src/cli/init/ask/ask-remote.ts';
import type { RemoteAnswers, RemoteHints } from '../../../../src/cli/init/ask/ask-remote.ts';

/** Answers in order; an answer that is refused is followed by the next. Undefined takes what is suggested. */
async function asked(
  answers: readonly (string | undefined)[],
  previous: RemoteHints['previous'] = {},
): Promise<{ readonly result: RemoteAnswers; readonly complaints: readonly string[] }> {
  const left = [...answers];
  const complaints: string[] = [];
  const prompter: Prompter = {
    choose: async ({ options, initial }) => {
      const answer = left.shift() ?? initial;
      const choice = options.find(({ value }) => value === answer);
      if (choice === undefined) throw new Error(`There is no "${answer}"`);
      return choice.value;
    },
    ask: async ({ initial = '', judge }) => {
      for (;;) {
        if (left.length === 0) throw new Error(`There are too few answers: ${complaints.join('; ')}`);
        const answer = left.shift() ?? initial;
        const complaint = judge(answer);
        if (complaint === undefined) return answer;
        complaints.push(complaint);
      }
    },
    confirm: async () => true,
    tell: () => undefined,
    announce: () => undefined,
  };
  const result = await askRemote(prompter, { cwd: '/app', store: '/app/chroma', name: 'my-app', previous });
  expect(left).toEqual([]);
  return { result, complaints };
}

it('Amazon: bucket, the suggested prefix, no region unless one is named', async () => {
  expect(await asked(['aws', 'bucket', undefined, ''])).toEqual({
    result: { remote: 's3://bucket/my-app' },
    complaints: [],
  });
  const { result } = await asked(['aws', 'bucket', '', 'eu-west-1']);
  expect(result).toEqual({ remote: 's3://bucket', region: 'eu-west-1' });
});

it('R2: the account, also out of the URL that the dashboard shows, makes the endpoint', async () => {
  const account = '0123456789abcdef0123456789abcdef';
  for (const answer of [account, `https://${account}.r2.cloudflarestorage.com/bucket`]) {
    const { result } = await asked(['r2', answer, 'bucket', undefined]);
    expect(result).toEqual({
      remote: 's3://bucket/my-app',
      endpoint: `https://${account}.r2.cloudflarestorage.com`,
      region: 'auto',
    });
  }
  expect((await asked(['r2', 'my-account', account, 'bucket', ''])).complaints).toHaveLength(1);
});

it('another server: an endpoint that is one and holds no credential', async () => {
  const { result, complaints } = await asked([
    'other',
    'localhost:9000',
    'http://key:secret@minio:9000',
    'http://minio:9000',
    'no/slash',
    'x',
    'bucket',
    '../up',
    undefined,
  ]);
  expect(result).toMatchObject({ remote: 's3://bucket/my-app', endpoint: 'http://minio:9000' });
  expect(complaints).toHaveLength(5);
});

it('a directory apart from the store', async () => {
  const { result, complaints } = await asked(['directory', '', '/app/chroma/in', '/app', './back up']);
  expect(result).toEqual({ remote: 'file:///app/back%20up' });
  expect(complaints).toHaveLength(3);
});

it('what was said before is suggested again', async () => {
  const previous = { remote: 's3://old/prefix', endpoint: 'http://old:9000', region: 'here' };
  expect((await asked([undefined, undefined, undefined, undefined], previous)).result).toEqual(previous);
  const directory = { remote: 'file:///mnt/old' };
  expect((await asked([undefined, undefined], directory)).result).toEqual(directory);
});
