/* eslint-disable no-control-regex -- what pages must not hold */
import { describe, expect, it } from 'vitest';
import type { DaemonStatus } from '../../../src/api/daemon-status.ts';
import { summaryOf } from '../../../src/web/page/summary.ts';
import { ago, ahead, clockTime, shortDuration, longDuration } from '../../../src/web/page/times.ts';
import { statusPage } from '../../../src/web/page/status-page.ts';
import { sampleEvents } from '../../support/sample-events.ts';
import {
  minute,
  noon,
  sampleFacts,
  sampleSnapshot,
  sampleStatuses,
  savedStatus,
} from '../../support/sample-status.ts';

const headlines: Record<keyof typeof sampleStatuses, readonly [tone: string, headline: string]> = {
  saved: ['good', 'All saved 4 minutes ago'],
  unsaved: ['waiting', 'Unsaved for 12 minutes, next backup in 3 minutes'],
  saving: ['busy', 'Saving now, after 58 minutes of changes'],
  failing: ['bad', 'Backups have failed for 70 minutes'],
  overdue: ['bad', 'Overdue: unsaved for 2 hours'],
  diverged: ['split', 'Diverged: web-2 and web-1 wrote independently'],
  starting: ['busy', 'Restoring the store'],
  fresh: ['calm', 'Nothing to save yet'],
  damaged: ['bad', 'The store is damaged'],
  serverFails: ['good', 'All saved 4 minutes ago'],
  logged: ['good', 'All saved 1 minute ago'],
  logging: ['good', 'Saving each write'],
  logBroken: ['waiting', 'Unsaved for 40 seconds, next backup in 23 hours'],
  logOverdue: ['bad', 'Overdue: unsaved for 7 minutes'],
  stopped: ['bad', 'Stopped with 2 minutes of changes unsaved'],
};
const names = Object.keys(headlines) as (keyof typeof sampleStatuses)[];
const textOf = (page: string): string =>
  page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]*>/g, '')
    .replaceAll('&quot;', '"')
    .replace(/\s+/g, ' ');

describe('the summary', () => {
  it.each(names)('of %s is one sentence', (name) => {
    const { tone, headline } = summaryOf(sampleStatuses[name], noon);
    expect([tone, headline]).toEqual(headlines[name]);
  });

  it('of failing backups says why, what is at risk, when it is tried again, and what to do', () => {
    expect(summaryOf(sampleStatuses.failing, noon)).toMatchObject({
      detail:
        'Cannot list "s3://my-bucket/my-app": connect ECONNREFUSED 10.0.0.7:9000. Unsaved for 2 hours. ' +
        'It is tried again in 3 minutes.',
      remedy: expect.stringContaining('Check the network') as string,
    });
  });

  it('shows data at risk before a choice that can wait, and that before a running operation', () => {
    const { failing, diverged, saving } = sampleStatuses;
    const { tips } = diverged;
    expect(summaryOf({ ...failing, tips }, noon).tone).toBe('bad');
    expect(summaryOf({ ...sampleStatuses.overdue, tips }, noon).tone).toBe('bad');
    expect(summaryOf({ ...saving, tips }, noon).tone).toBe('split');
  });

  it('forgets a failure once a backup has succeeded', () => {
    const lastError = sampleStatuses.failing.lastError;
    expect(summaryOf({ ...savedStatus, lastError }, noon).tone).toBe('good');
  });

  it('does not call a failed look at the remote a failing backup', () => {
    const lastError = { ...sampleStatuses.failing.lastError, atMs: noon, operation: 'list' as const };
    expect(summaryOf({ ...savedStatus, lastError }, noon).tone).toBe('good');
  });

  it('of each state is a real sentence, whatever else is known', () => {
    const states: DaemonStatus['state'][] = ['starting', 'idle', 'waiting', 'working', 'stopping', 'stopped'];
    for (const state of states) {
      for (const sample of Object.values(sampleStatuses)) {
        const { headline, detail } = summaryOf({ ...sample, state }, noon);
        expect(`${headline} ${detail ?? ''}`).not.toMatch(/undefined|NaN|null| {2}|\.\./);
      }
    }
  });
});

describe('the page of an agent that saves each write', () => {
  it('calls what is behind a snapshot saved, and tells up to where, and what it cost', () => {
    const text = textOf(statusPage(sampleStatuses.logged, sampleFacts, noon));
    expect(text).toContain('Each write is saved within 2s, behind the newest snapshot.');
    expect(text).toContain('Unsaved changes none');
    expect(text).toContain('Saved within 2s of a change');
    expect(text).toContain('Up to operation 4,571');
    expect(text).toContain('250 writes in 17 segments, 391 KiB');
    expect(text).toContain('12 requests, 1.4 MiB sent');
    expect(text).toContain('each write within 2s; a snapshot within 1 d of a change');
    expect(textOf(statusPage(savedStatus, sampleFacts, noon))).not.toContain('Writes since the snapshot');
  });

  it('says why writes are not saved', () => {
    const broken = textOf(statusPage(sampleStatuses.logBroken, sampleFacts, noon));
    expect(broken).toContain(
      'They cannot be saved one by one: operation 12 was purged. A snapshot is needed.',
    );
    expect(broken).toContain('Gaps 2 times');
    const overdue = textOf(statusPage(sampleStatuses.logOverdue, sampleFacts, noon));
    expect(overdue).toContain('Changes should be saved within 2s. Cannot put: timed out.');
  });
});

describe('the page', () => {
  it.each(names)('of %s shows its summary, in the title too', (name) => {
    const page = statusPage(sampleStatuses[name], sampleFacts, noon);
    const [tone, headline] = headlines[name];
    expect(textOf(page)).toContain(headline);
    expect(/<title>(.*)<\/title>/.exec(page)?.[1]).toBe(`${headline} &middot; sync-agent`);
    expect(page).toContain(`<body class="${tone}">`);
    expect(textOf(page)).not.toMatch(/undefined|NaN|\[object/);
  });

  it('has the same text for the same facts', () => {
    expect(statusPage(savedStatus, sampleFacts, noon)).toBe(statusPage(savedStatus, sampleFacts, noon));
  });

  it('has no script, only its own style, and nothing from other servers', () => {
    for (const name of names) {
      const page = statusPage(sampleStatuses[name], sampleFacts, noon);
      expect(page).not.toMatch(/<script|\son[a-z]+=|\sstyle=|javascript:/i);
      expect(page.match(/<style>/g)).toHaveLength(1);
      const links = [...page.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, target]) => target);
      expect(links.filter((target) => !/^\/[a-z]?|^data:image\/svg/.test(target ?? ''))).toEqual([]);
    }
  });

  it('says what a check found, and what to type', () => {
    const page = textOf(statusPage(sampleStatuses.damaged, sampleFacts, noon));
    expect(page).toContain('The store is damaged Checked 3 minutes ago');
    expect(page).toContain('its &lt;index&gt; is missing');
    expect(page).toContain('sync-agent check');
    const failing = textOf(statusPage(sampleStatuses.serverFails, sampleFacts, noon));
    expect(failing).toContain('The server of the store fails');
    expect(failing).toContain('Cannot count "docs"');
  });

  it('says what to type when hosts diverged, and only then', () => {
    const [a, b] = sampleStatuses.diverged.tips;
    const text = textOf(statusPage(sampleStatuses.diverged, sampleFacts, noon));
    expect(text).toContain(`sync-agent diff ${a} ${b}`);
    expect(text).toContain(`sync-agent prune --resolve ${a}`);
    expect(textOf(statusPage(savedStatus, sampleFacts, noon))).not.toContain('--resolve');
  });

  it('shows a bar for each snapshot, and marks that of this store', () => {
    const page = statusPage(savedStatus, sampleFacts, noon);
    expect(page.match(/class="older"/g)).toHaveLength(23);
    expect(page.match(/class="own"/g)).toHaveLength(1);
    expect(textOf(page)).toContain('24 snapshots in the remote');
  });

  it('marks pinned snapshots', () => {
    const { id } = sampleSnapshot(minute);
    const pin = { id, reason: 'release', at: '2026-11-21T12:00:00.000Z', host: 'web-1' };
    const pinned = sampleSnapshot(minute, { pin });
    const history = { asOfMs: noon, snapshots: [pinned, sampleSnapshot(0)] };
    const page = statusPage({ ...savedStatus, history }, sampleFacts, noon);
    expect(page.match(/>pinned</g)).toHaveLength(1);
  });

  it('shows progress in bytes and percent', () => {
    expect(textOf(statusPage(sampleStatuses.saving, sampleFacts, noon))).toContain(
      '21.0 MiB of 34.0 MiB, 61%',
    );
  });

  it('shows the newest events first, without steps of operations', () => {
    const text = textOf(statusPage(savedStatus, sampleFacts, noon));
    expect(text.indexOf('Backup ended')).toBeLessThan(text.indexOf('Backup began'));
    expect(text).not.toContain('Captured');
  });

  it('can show every kind of event', () => {
    const recentEvents = Object.values(sampleEvents).map((event, index) => ({ atMs: noon - index, event }));
    expect(() => statusPage({ ...savedStatus, recentEvents }, sampleFacts, noon)).not.toThrow();
  });

  it('shows a failure that is over further below', () => {
    const lastError = { ...sampleStatuses.failing.lastError, atMs: noon - 60 * minute };
    const text = textOf(statusPage({ ...savedStatus, lastError }, sampleFacts, noon));
    expect(text).toMatch(/All saved.*Last failure.*REMOTE_UNREACHABLE.*Check the network/);
  });

  it('works without facts of the disk, and without history', () => {
    const text = textOf(statusPage({ ...savedStatus, history: null }, null, noon));
    expect(text).toContain('The disk cannot be read');
    expect(text).toContain('The remote has not been asked yet');
    const nothing = {
      atMs: noon,
      disk: null,
      store: null,
      rollbackCopies: null,
      drill: null,
      operations: null,
      usersMemoryBytes: null,
    };
    const bare = textOf(statusPage(savedStatus, nothing, noon));
    expect(bare).toContain('Rollback copies cannot be read');
    expect(bare).toMatch(/In use by\s*nobody that can be seen/);
    expect(textOf(statusPage(savedStatus, sampleFacts, noon))).toMatch(/In use by\s*programs with 187 MiB/);
  });

  it('says when a snapshot was last drilled, and what a drill that failed found', () => {
    expect(textOf(statusPage(savedStatus, sampleFacts, noon))).toMatch(/Last drill\s*passed/);
    expect(textOf(statusPage(savedStatus, { ...sampleFacts, drill: null }, noon))).toMatch(
      /Last drill\s*none yet/,
    );
    const { drill } = sampleFacts;
    const failed = drill && { ...drill, last: { ...drill.last, passed: false, problems: ['<b>a hash</b> differs'], recovery: 'an older one passed' } }; // prettier-ignore
    const page = statusPage(savedStatus, { ...sampleFacts, drill: failed }, noon);
    expect(page).not.toContain('<b>a hash');
    expect(textOf(page)).toMatch(
      /A snapshot does not restore as it should.*The last one that passed.*a hash.*an older one passed/,
    );
  });

  it('has the newest operations of any program, also one that was killed', () => {
    const [open] = sampleFacts.operations ?? [];
    if (open === undefined) throw new Error('no sample');
    const failed = {
      ...open,
      name: '<b>hostile</b>',
      state: 'failed' as const,
      tookMs: 2000,
      error: { code: 'BUSY', message: 'It is <i>in use</i>' },
    };
    const page = statusPage(savedStatus, { ...sampleFacts, operations: [open, failed] }, noon);
    expect(page).not.toMatch(/<b>hostile|<i>in use/);
    expect(textOf(page)).toMatch(
      /Recent operations.*error: protect "&lt;b&gt;hostile&lt;\/b&gt;": failed in 2 s by reindex\.mjs, pid 4711\. It is .*warn: protect "recreate": did not finish by reindex\.mjs/,
    );
    for (const operations of [null, []])
      expect(statusPage(savedStatus, { ...sampleFacts, operations }, noon)).not.toContain(
        'Recent operations',
      );
  });

  it('reloads itself, faster while an operation runs, and not at all if asked', () => {
    const refreshOf = (page: string) => /http-equiv="refresh" content="(\d+)"/.exec(page)?.[1];
    expect(refreshOf(statusPage(savedStatus, sampleFacts, noon))).toBe('10');
    expect(refreshOf(statusPage(sampleStatuses.saving, sampleFacts, noon))).toBe('2');
    expect(refreshOf(statusPage(savedStatus, sampleFacts, noon, { refreshes: false }))).toBeUndefined();
  });

  it('escapes every text that comes from outside', () => {
    const evil = `"><img src=x onerror=alert(1)>'&\u202E\u0000\u001B]0;`;
    const snapshots = [0, 1].map((age) =>
      sampleSnapshot(age, { id: `${evil}${age}`, host: evil, createdAt: evil }),
    );
    const status: DaemonStatus = {
      ...sampleStatuses.failing,
      version: evil,
      host: evil,
      store: evil,
      remote: evil,
      cron: evil,
      lastError: { ...sampleStatuses.failing.lastError, message: evil, remedy: evil },
      lastSnapshot: { id: `${evil}0`, createdAtMs: Number.NaN },
      history: { asOfMs: Infinity, snapshots },
      tips: snapshots.map(({ id }) => id),
      recentEvents: [{ atMs: Number.NaN, event: { type: 'warning', code: 'NOTICE', message: evil } }],
    };
    const copies = [{ name: evil, bytes: Number.NaN, files: 1 }];
    for (const each of [status, { ...status, lastError: null, isOverdue: false }]) {
      const page = statusPage(each, { ...sampleFacts, rollbackCopies: copies }, noon);
      expect(page).toContain('&lt;img src=x');
      expect(page).not.toMatch(/<img|[\u202E\u0000\u001B]/);
      // Nobody is to paste that into a shell.
      expect(page.match(/<pre>.*?<\/pre>/gs)?.join('')).toMatch(/^[\w\s<>/.-]+$/);
    }
  });
});

describe('times in words', () => {
  it.each([
    [0, 'a moment', '0 s'],
    [Number.NaN, 'a moment', '0 s'],
    [-5, 'a moment', '0 s'],
    [42_000, '42 seconds', '42 s'],
    [60_000, '1 minute', '1 min'],
    [89 * 60_000, '89 minutes', '1 h 29 min'],
    [3 * 3_600_000, '3 hours', '3 h'],
    [50 * 3_600_000, '2 days', '2 d 2 h'],
    [3e12, '34,722 days', '34722 d 5 h'],
  ])('%d ms', (ms, long, short) => expect([longDuration(ms), shortDuration(ms)]).toEqual([long, short]));

  it('a time that differs only by clock skew is now', () => {
    expect(ago(noon, noon + 5000)).toBe('just now');
    expect(ahead(noon, noon - 5000)).toBe('now');
  });

  it('has a date only if it is not today', () => {
    expect(clockTime(noon, noon - 5000)).toBe('11:59:55Z');
    expect(clockTime(noon, noon - 86_400_000)).toBe('2026-11-20 12:00:00Z');
  });
});
