import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);
const isRequired = process.env['SYNC_AGENT_TEST_REQUIRE_BROWSER'] === '1';

if (executablePath === undefined && isRequired) {
  throw new Error('SYNC_AGENT_TEST_REQUIRE_BROWSER=1, and there is no Chromium: apt-get install chromium');
}
if (executablePath === undefined)
  console.warn('SKIPPED: no Chromium, so no test in a browser; apt-get install chromium');

export const hasChromium = executablePath !== undefined;

/** A headless browser that talks to nobody but whom it is sent to. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
