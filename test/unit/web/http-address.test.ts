import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/settings/resolve-config.ts';
import { httpSettings } from '../../../src/settings/use-config.ts';
import { formatHttpAddress, parseHttpAddress } from '../../../src/web/http-address.ts';
import { parseLayer } from '../../../src/settings/parse-layer.ts';

describe('an HTTP address', () => {
  it.each([
    ['8477', { host: '127.0.0.1', port: 8477 }],
    ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:8477', { host: '::1', port: 8477 }],
    ['[::]:65535', { host: '::', port: 65_535 }],
    [' agent-1.internal.example:9 ', { host: 'agent-1.internal.example', port: 9 }],
  ])('%j is understood', (text, address) => {
    expect(parseHttpAddress(text)).toEqual(address);
  });

  it.each(['off', 'OFF'])('%j means none', (text) => expect(parseHttpAddress(text)).toBe('off'));

  it.each([
    '',
    'on',
    ':8477',
    '65536',
    '-1',
    '1.5',
    '0x50',
    '::1:8477',
    '::1',
    '[::1]',
    '[::g]:1',
    '[127.0.0.1]:1',
    'http://localhost:1',
    'localhost',
    'a b:1',
    'user@host:1',
    '256.0.0.1:1',
    '127.1:80',
    '-a:1',
    '8477/metrics',
    `${'a'.repeat(64)}:1`,
  ])('%j is refused', (text) => expect(parseHttpAddress(text)).toBeUndefined());

  it('is written as in a URL', () => {
    expect(formatHttpAddress({ host: '::1', port: 1 })).toBe('[::1]:1');
    expect(formatHttpAddress({ host: 'localhost', port: 1 })).toBe('localhost:1');
  });
});

describe('HTTP settings', () => {
  const settingsOf = async (flags: Record<string, unknown>) =>
    httpSettings(await resolveConfig({ flags, env: {}, cwd: '/' }));

  it('are loopback and a port that may be replaced, by default', async () => {
    expect(await settingsOf({})).toEqual({
      host: '127.0.0.1',
      port: 8477,
      isPortFixed: false,
      token: undefined,
    });
  });

  it('keep a port that the user asked for, even if it is the default one', async () => {
    expect(await settingsOf({ http: '8477' })).toMatchObject({ port: 8477, isPortFixed: true });
  });

  it('are absent if http is off', async () => {
    expect(await settingsOf({ http: 'off' })).toBeNull();
    expect(httpSettings(parseLayer({ values: { http: false }, nameOf: String }))).toBeNull();
  });

  it('that are invalid are an error that shows the right form', async () => {
    await expect(settingsOf({ http: '::1:8477' })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/--http = "::1:8477": expected .*\[::1\]:8477/) as string,
    });
  });
});

describe('a token', () => {
  it.each(['short', 'with a space in the midst', 'löschpapier-löschpapier', 1234567890123456])(
    '%j is refused, and not repeated',
    (token) => {
      const parse = () => parseLayer({ values: { httpToken: token }, nameOf: () => 'TOKEN' });
      expect(parse).toThrow(/^Cannot use TOKEN: expected at least 16 characters/);
      expect(parse).not.toThrow(String(token));
    },
  );
});
