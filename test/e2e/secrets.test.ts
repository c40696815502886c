import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { FaultProxy, ProxyFault, ProxyHook } from '../support/fault-proxy.ts';
import { startS3Server } from '../support/s3-server.ts';
import { realS3, usesOwnServer } from '../support/s3.ts';

const loud = ['--verbose', '--debug'];

/** Of the runs below. No real key looks like these, so that a hit is no accident. */
const sessionToken = 'FwoGZXIvYXdzEsEcReTtOkEn/7Rk+q==';
const wrongSecret = 'wJalrXUtnFEMI/K7MDENG/wRoNgSeCrEtKEY';

interface Run {
  readonly code: number;
  readonly output: string;
}

interface Place {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Real servers refuse session tokens that they have not issued. */
  readonly takesAnyToken: boolean;
  close(): Promise<void>;
}

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-secrets-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function sync(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Run> {
  const { PATH = '', NODE_PATH = '' } = process.env;
  const child = spawn(process.execPath, [buildCli(), ...args], {
    cwd: root,
    env: { PATH, NODE_PATH, HOME: root, AWS_EC2_METADATA_DISABLED: 'true', AWS_REGION: 'us-east-1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (status) => resolve(status ?? -1));
  });
  return { code, output };
}

/** Fails on whatever would let somebody else act as this user. */
function expectNoSecret({ output }: Run, secrets: readonly string[]): void {
  for (const secret of secrets) {
    const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')];
    for (const form of forms) expect(output).not.toContain(form);
  }
  expect(output).not.toMatch(/AWS4-HMAC-SHA256|Signature=[0-9a-f]|X-Amz-Signature=[0-9a-f]/i);
  expect(output).not.toMatch(/X-Amz-(Credential|Security-Token)["']?\s*[=:]\s*["']?[^*\s"']/i);
  expect(output).not.toMatch(/Authorization["']?\s*[=:]\s*["']?[^*\s"']/i);
}

const real = realS3();
const places: readonly { readonly name: string; readonly open: () => Promise<Place> }[] = [
  ...(usesOwnServer
    ? [
        {
          name: 'the server in this process',
          open: async () => {
            const server = await startS3Server();
            server.createBucket('bucket');
            return { ...server, bucket: 'bucket', takesAnyToken: true, close: () => server.close() };
          },
        },
      ]
    : []),
  ...(real === undefined
    ? []
    : [
        {
          name: real.endpoint,
          open: async () => ({
            ...real,
            bucket: await real.makeBucket(),
            takesAnyToken: false,
            close: async () => {},
          }),
        },
      ]),
];
if (real === undefined) {
  describe('secrets before a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
}

describe.each(places)('output at its loudest, before $name, shows no secret', ({ open }) => {
  let place: Place;
  let proxy: FaultProxy;
  let env: Readonly<Record<string, string>>;
  let target: readonly string[];
  let secrets: readonly string[];

  beforeAll(async () => {
    place = await open();
    proxy = await startFaultProxy(place.endpoint);
    const { accessKeyId, secretAccessKey, takesAnyToken } = place;
    env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(takesAnyToken ? { AWS_SESSION_TOKEN: sessionToken } : {}),
    };
    secrets = [accessKeyId, secretAccessKey, sessionToken, wrongSecret];
    const store = join(root, `store-${proxy.endpoint.split(':').at(-1)}`);
    await mkdir(store);
    await writeFile(join(store, 'a.txt'), 'a');
    target = [
      '--store',
      store,
      '--remote',
      `s3://${place.bucket}/p`,
      '--s3-endpoint',
      proxy.endpoint,
      ...loud,
    ];
  });
  afterEach(() => proxy.setFault(undefined));
  afterAll(async () => {
    await proxy.close();
    await place.close();
  });

  const quiet = async (
    args: readonly string[],
    changed: Readonly<Record<string, string>> = {},
  ): Promise<Run> => {
    const run = await sync([...args, ...target], { ...env, ...changed });
    expectNoSecret(run, [...secrets, ...Object.values(changed)]);
    return run;
  };

  it('when all is well', async () => {
    expect((await quiet(['backup', '--json'])).code).toBe(0);
    for (const command of [['status', '--json'], ['doctor'], ['verify', '--read-data'], ['list', '--json']]) {
      const { code, output } = await quiet(command);
      expect(code, output).toBe(0);
    }
  });

  it('when requests are repeated and say so', async () => {
    proxy.setFault(once({ type: 'status', status: 503, code: 'SlowDown' }));
    const { code, output } = await quiet(['backup', '--force']);
    expect(output).toContain('trying again');
    expect(code).toBe(0);
  });

  it('when the secret key is wrong', async () => {
    const run = await quiet(['backup', '--json'], { AWS_SECRET_ACCESS_KEY: wrongSecret });
    expect(run.code).toBe(7);
    expect(run.output).toContain('SignatureDoesNotMatch');
  });

  it('when the session has expired', async () => {
    const message = 'The provided token has expired.';
    proxy.setFault(() => ({ type: 'status', status: 400, code: 'ExpiredToken', message }));
    const { code, output } = await quiet(['backup', '--json']);
    expect(code).toBe(7);
    expect(output).toContain('Renew the session credentials');
  });

  it('when a server quotes the whole request in its error', async () => {
    proxy.setFault(({ headers }) => ({
      type: 'status',
      status: 400,
      code: 'InvalidRequest',
      message:
        `You sent ${JSON.stringify(headers)} with ${Object.entries(headers)
          .map((pair) => pair.join(': '))
          .join(', ')}` +
        ` as https://bucket/x?X-Amz-Credential=${place.accessKeyId}%2F20260101&X-Amz-Signature=0123abcdef` +
        `&X-Amz-Security-Token=${encodeURIComponent(sessionToken)} for ${place.accessKeyId}`,
    }));
    const { code, output } = await quiet(['backup', '--json']);
    expect(code).toBe(6);
    // It was quoted, with stars.
    expect(output).toContain('You sent');
    expect(output).toContain('***');
  });

  it('when the server sends an error whose very name is a secret', async () => {
    proxy.setFault(() => ({ type: 'status', status: 400, code: place.secretAccessKey, message: 'x' }));
    expect((await quiet(['list'])).code).toBe(6);
  });

  it('in the operation log, after all of these', async () => {
    const [, store = ''] = target;
    const { output } = await sync(['log', '--json', ...target], env);
    const file = join(dirname(store), `.${basename(store)}.sync-agent/operations/000001.jsonl`);
    // What the server quoted is hidden twice, in stars and in brackets.
    for (const text of [output, await readFile(file, 'utf8')])
      expectNoSecret({ code: 0, output: text.replaceAll('[redacted]', '***') }, secrets);
    expect(output).toContain('You sent');
  });

  it('when the server cannot be reached', async () => {
    const args = target.map((arg) => (arg === proxy.endpoint ? 'http://127.0.0.1:1' : arg));
    const run = await sync(['status', ...args], env);
    expectNoSecret(run, secrets);
    expect(run.output).toMatch(/ECONNREFUSED/);
  });
});

describe('secrets that were put where they do not belong', () => {
  const secret = 'MyS3cretKeyThatMustNotShow';
  it.each([
    ['the remote', ['list', '--remote', `s3://AKIAIOSFODNN7EXAMPLE:${secret}@bucket/p`]],
    ['the endpoint', ['list', '--remote', 's3://bucket', '--s3-endpoint', `http://me:${secret}@127.0.0.1:1`]],
    ['the endpoint, misspelt', ['list', '--remote', 's3://bucket', '--s3-endpoint', `me:${secret}@host`]],
  ])('%s are not repeated in the error', async (_, args) => {
    const run = await sync([...args, ...loud, '--json'], {});
    expect(run.code).toBe(2);
    expect(run.output).toContain('***');
    expect(run.output).not.toContain(secret);
  });
});

describe('a password in the URL of an HTTP proxy or a credential process', () => {
  it('is not repeated when it fails', async () => {
    const config = join(root, 'aws-config');
    await writeFile(config, '[default]\ncredential_process = /bin/false --password hunter2-must-not-show\n');
    const run = await sync(
      ['list', '--remote', 's3://bucket', '--s3-endpoint', 'http://127.0.0.1:1', ...loud],
      {
        AWS_CONFIG_FILE: config,
      },
    );
    expect(run.code).not.toBe(0);
    expect(run.output).not.toContain('hunter2-must-not-show');
  });
});

describe('what an instance hands out', () => {
  it('does not show, when a server then quotes it', async () => {
    const credentials = {
      AccessKeyId: 'RoleKeyOfTheContainer',
      SecretAccessKey: 'RoleSecretOfTheContainer',
      Token: 'RoleTokenOfTheContainer',
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const metadata = createServer((_, response) => response.end(JSON.stringify(credentials)));
    const s3 = createServer((_, response) => {
      response.writeHead(400, { 'content-type': 'application/xml' });
      response.end(
        `<Error><Code>InvalidRequest</Code><Message>Who is ${JSON.stringify(credentials)}?</Message></Error>`,
      );
    });
    const urls = await Promise.all(
      [metadata, s3].map(async (server) => {
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      }),
    );
    try {
      const run = await sync(['list', '--remote', 's3://bucket', '--s3-endpoint', urls[1] ?? '', ...loud], {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${urls[0]}/role`,
      });
      expect(run.output).toContain('Who is');
      const { AccessKeyId, SecretAccessKey, Token } = credentials;
      expectNoSecret(run, [AccessKeyId, SecretAccessKey, Token]);
    } finally {
      metadata.close();
      s3.close();
    }
  });
});

describe('the search for secrets', () => {
  it.each([
    'key is testsecret',
    'AWS4-HMAC-SHA256 Credential=x',
    'https://bucket/x?X-Amz-Signature=0123',
    `token=${encodeURIComponent(sessionToken)}`,
    '{"authorization":"Basic abc"}',
    'x-amz-security-token: abc',
  ])('finds %s: this guard bites', (output) => {
    expect(() => expectNoSecret({ code: 0, output }, ['testsecret', sessionToken])).toThrow();
  });
});

function once(fault: ProxyFault): ProxyHook {
  let isOver = false;
  return () => {
    if (isOver) return undefined;
    isOver = true;
    return fault;
  };
}
