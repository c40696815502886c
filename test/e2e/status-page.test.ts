import { inflateSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { summaryOf } from '../../src/web/page/summary.ts';
import { startHttpServer } from '../../src/web/server.ts';
import type { HttpServer } from '../../src/web/server.ts';
import { hasChromium, launchChromium } from '../support/chromium.ts';
import { fakeAgentView, noon, sampleStatuses, savedStatus } from '../support/sample-status.ts';

const devices = { desktop: { width: 1180, height: 900 }, phone: { width: 390, height: 844 } } as const;
type Names = keyof typeof sampleStatuses;

describe.skipIf(!hasChromium)('in a browser, the status page', () => {
  const agent = fakeAgentView();
  let server: HttpServer;
  let browser: Browser;
  let page: Page | undefined;
  let complaints: string[] = [];

  beforeAll(async () => {
    server = await startHttpServer(agent, {
      host: '127.0.0.1',
      port: 0,
      isPortFixed: true,
      token: undefined,
      now: () => noon,
    });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  afterEach(async () => {
    await page?.close();
    page = undefined;
  });

  async function open(how: Parameters<Browser['newPage']>[0] = {}, path = ''): Promise<Page> {
    complaints = [];
    page = await browser.newPage(how);
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
    await page.goto(new URL(path, server.url).href);
    return page;
  }

  it.each(Object.keys(sampleStatuses) as Names[])(
    'of %s is readable on a desktop and a phone, in light and dark',
    async (name) => {
      agent.set(sampleStatuses[name]);
      const opened = await open({}, '?refresh=off');
      const { headline } = summaryOf(sampleStatuses[name], noon);
      expect(await opened.locator('h1').innerText()).toBe(headline);
      expect(await opened.title()).toBe(`${headline} · sync-agent`);
      for (const [device, viewport] of Object.entries(devices)) {
        await opened.setViewportSize(viewport);
        expect(await opened.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width);
        for (const colorScheme of ['light', 'dark'] as const) {
          await opened.emulateMedia({ colorScheme });
          expect({ device, colorScheme, faint: await lowContrast(opened) }).toMatchObject({ faint: [] });
          expect(varietyOf(await opened.screenshot())).toBeGreaterThan(20);
        }
      }
      expect(complaints).toEqual([]);
    },
  );

  it('has its own style, and follows the system to dark', async () => {
    agent.set(savedStatus);
    const groundOf = async (colorScheme: 'light' | 'dark') => {
      const opened = await open({ colorScheme });
      return opened.evaluate('getComputedStyle(document.body).backgroundColor');
    };
    expect(await groundOf('light')).toBe('rgb(245, 246, 244)');
    await page?.close();
    expect(await groundOf('dark')).toBe('rgb(16, 20, 18)');
  });

  it('runs no script and no style that a name smuggles in', async () => {
    const evil =
      '<script>document.title="owned"</script><style>body{display:none}</style><img src=x onerror=alert(1)>';
    agent.set({ ...savedStatus, host: evil, store: `"'>${evil}`, remote: evil });
    const opened = await open();
    expect(await opened.title()).toContain('All saved');
    expect(await opened.locator('script, img').count()).toBe(0);
    expect(await opened.locator('h1').isVisible()).toBe(true);
    expect(await opened.locator('header').innerText()).toContain('<script>');
    expect(complaints).toEqual([]);
  });

  it('would not run it if the escaping failed, either', async () => {
    agent.set(savedStatus);
    const opened = await open();
    const wasBlocked = await opened.evaluate(`new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'document.title = "owned"';
      document.body.append(script);
    })`);
    expect(wasBlocked).toMatch(/^script-src/);
    expect(await opened.title()).not.toBe('owned');
  });

  it('comes again by itself, with what is new', async () => {
    agent.set(sampleStatuses.saving);
    const opened = await open();
    agent.set(savedStatus);
    await opened.getByText('All saved 4 minutes ago').waitFor({ timeout: 90_000 });
  });

  it('stays as it is when asked to', async () => {
    agent.set(savedStatus);
    const opened = await open();
    await opened.getByRole('link', { name: 'stop' }).click();
    await opened.getByRole('link', { name: 'start' }).waitFor();
    expect(await opened.locator('meta[http-equiv=refresh]').count()).toBe(0);
  });
});

/** Texts whose contrast to their ground is below what WCAG asks for, 4.5 to 1. */
async function lowContrast(page: Page): Promise<unknown> {
  return page.evaluate(`(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (colours) => {
      canvas.clearRect(0, 0, 1, 1);
      for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => colour
      .map((each) => each / 255)
      .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
      .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
    const grounds = (element) => element === null ? [] : [...grounds(element.parentElement), getComputedStyle(element).backgroundColor];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    let seen = 0;
    while (walker.nextNode()) {
      const { parentElement, textContent } = walker.currentNode;
      if (textContent.trim() === '' || parentElement.closest('svg')) continue;
      seen += 1;
      const ground = grounds(parentElement);
      const [a, b] = [rgb(ground), rgb([...ground, getComputedStyle(parentElement).color])].map(light).sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) found.push([textContent.trim(), ratio]);
    }
    return seen > 20 ? found : ['there is no text'];
  })()`);
}

/** How many different bytes the rows of a PNG have: those of a blank page have a handful. */
function varietyOf(png: Buffer): number {
  const chunks: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      chunks.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  return new Set(inflateSync(Buffer.concat(chunks))).size;
}
