import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import { environmentLayer } from '../../src/settings/environment.ts';
import { parseLayer } from '../../src/settings/parse-layer.ts';
import { flagOf, variableOf } from '../../src/settings/setting.ts';
import { settings } from '../../src/settings/settings.ts';
import { parseDuration } from '../../src/settings/units.ts';
import { deploymentFiles, invocationsIn, parseDeployment, variablesIn } from '../support/deployments.ts';
import { brokenLinks, codeOf, readDocument, repository } from '../support/documents.ts';
import { podProblems } from '../support/pod.ts';
import type { Container, Pod } from '../support/pod.ts';

const commands = await allCommands();

const settingNames = Object.keys(settings);
const commandNames: readonly string[] = commands.map(({ name }) => name);
const globalFlags = ['--config', '--help', ...settingNames.map((key) => `--${flagOf(key)}`)];
const flagsOf = (name: string): readonly string[] => [
  ...globalFlags,
  ...Object.keys(commands.find((command) => command.name === name)?.options ?? {}).map((flag) => `--${flag}`),
];
const files = deploymentFiles();
const pages = readdirSync(join(repository, 'docs/platforms')).map((name) => `docs/platforms/${name}`);

describe('deploy/', () => {
  const invocations = files.flatMap(invocationsIn);
  const variables = files.flatMap(variablesIn);

  it('starts sync-agent with commands and flags that exist', () => {
    expect(new Set(invocations.map(({ args: [name] }) => name))).toEqual(
      new Set(['restore', 'watch', 'run', 'backup']),
    );
    for (const { file, args } of invocations) expectCommand(args, file);
  });

  it('starts it wherever there is something to start', () => {
    const found = [...new Set(invocations.map(({ file }) => file))];
    expect(found).toEqual([
      'deploy/compose/compose.yaml',
      'deploy/docker/Dockerfile',
      'deploy/docker/app-entrypoint.sh',
      'deploy/github-actions/index.yml',
      'deploy/kubernetes/base/stateful-set.yaml',
      'deploy/procfile/Procfile',
      'deploy/replit/.replit',
      'deploy/systemd/sync-agent-backup.service',
      'deploy/systemd/sync-agent-restore.service',
      'deploy/systemd/sync-agent.service',
    ]);
  });

  it('sets only variables that exist, to values that are understood', () => {
    expect(variables.length).toBeGreaterThan(30);
    for (const { file, name, value } of variables) {
      expect(settingNames.map(variableOf), `${name} in ${file}`).toContain(name);
      const isThere = Object.keys(settings).map(variableOf).includes(name);
      if (isThere) expect(() => parseLayer(environmentLayer({ [name]: value })), file).not.toThrow();
      if (/_(INTERVAL|SHUTDOWN_BUDGET)$/.test(name)) expect(parseDuration(value), file).toBeGreaterThan(0);
    }
  });

  /** How long each platform waits between its signal and SIGKILL, as its file says or, where it cannot, as it always is. */
  const graces: Readonly<Record<string, number>> = {
    'deploy/compose/compose.yaml': durationAt(
      'deploy/compose/compose.yaml',
      'services.agent.stop_grace_period',
    ),
    'deploy/systemd/sync-agent.env': systemdGrace(),
    'deploy/fly/fly.toml': secondsAt('deploy/fly/fly.toml', 'kill_timeout'),
    'deploy/render/render.yaml': secondsAt('deploy/render/render.yaml', 'services.0.maxShutdownDelaySeconds'),
    // Its budget is the default.
    'deploy/railway/railway.json': secondsAt('deploy/railway/railway.json', 'deploy.drainingSeconds'),
    'deploy/cloud-run/service.yaml': 10_000,
    'deploy/replit/.replit': 10_000,
  };

  it.each(Object.entries(graces))('%s leaves time for the last backup', (file, graceMs) => {
    const slackMs = graceMs > 10_000 ? 10_000 : 2000;
    expect(budgetOf(file) + slackMs).toBeLessThanOrEqual(graceMs);
  });
});

describe('deploy/kubernetes', () => {
  const { spec } = parseDeployment('deploy/kubernetes/base/stateful-set.yaml') as {
    readonly spec: { readonly replicas: number; readonly template: { readonly spec: Pod } };
  };
  const pod = spec.template.spec;
  const preStopMs = 5000;
  const stopMs = preStopMs + budgetOf('deploy/kubernetes/base/kustomization.yaml');

  it('restores first, keeps the agent beside Chroma and after it, and confines both', () => {
    expect(podProblems(pod, stopMs)).toEqual([]);
    expect(spec.replicas).toBe(1);
  });

  const [restore, agent] = (pod.initContainers ?? []) as [Container, Container];
  const [chroma] = pod.containers as [Container];
  it.each<[string, Pod]>([
    ['no init container restores', { ...pod, initContainers: [agent] }],
    ['the agent does not start after the restore', { ...pod, initContainers: [agent, restore] }],
    ['the agent is no sidecar', { ...pod, initContainers: [restore, { ...agent, restartPolicy: 'Never' }] }],
    ["the agent's readiness", { ...pod, initContainers: [restore, { ...agent, readinessProbe: {} }] }],
    ['no preStop: chroma', { ...pod, containers: [{ ...chroma, lifecycle: {} }] }],
    ['no probes: chroma', { ...pod, containers: [without(chroma, 'startupProbe')] }],
    ['not ready: chroma', { ...pod, containers: [without(chroma, 'readinessProbe')] }],
    ['may run as root', { ...pod, securityContext: { fsGroup: 1000 } }],
    ['the volume belongs to root', { ...pod, securityContext: { runAsNonRoot: true } }],
    [
      'may write to its image: restore',
      { ...pod, initContainers: [without(restore, 'securityContext'), agent] },
    ],
    ['requests nothing: restore', { ...pod, initContainers: [without(restore, 'resources'), agent] }],
    ['no /data: restore', { ...pod, initContainers: [without(restore, 'volumeMounts'), agent] }],
    ['30000 ms to stop in', without(pod, 'terminationGracePeriodSeconds')],
  ])('would not pass with: %s', (problem, broken) => {
    expect(podProblems(broken, stopMs).join('\n')).toContain(problem);
  });

  it.each(['production', 'ephemeral'])('has patches in the overlay %s that find what they change', (name) => {
    const overlay = parseDeployment(`deploy/kubernetes/overlays/${name}/kustomization.yaml`) as Overlay;
    expect(overlay.resources).toEqual(['../../base']);
    for (const { target, patch } of overlay.patches) {
      const file = { StatefulSet: 'stateful-set', ServiceAccount: 'service-account' }[target.kind] ?? '';
      const object = parseDeployment(`deploy/kubernetes/base/${file}.yaml`);
      for (const { op, path } of parsePatch(patch)) {
        const place = path.slice(1).replaceAll('/', '.');
        const [, above = ''] = /^(.*)\.[^.]*$/.exec(place) ?? [];
        expect(at(object, op === 'add' ? above : place), `${op} ${path}`).toBeDefined();
      }
    }
  });
});

describe('deploy/docker', () => {
  it('builds from what .dockerignore lets through', () => {
    const allowed = readDocument('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [
      ...readDocument('deploy/docker/Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm),
    ].flatMap(([, sources = '']) => sources.split(' '));
    expect(copied.toSorted()).toEqual(allowed.toSorted());
    const imported = [...readDocument('scripts/build.mjs').matchAll(/from '\.\/(.*)'/g)];
    expect(copied).toEqual(expect.arrayContaining(imported.map(([, name]) => `scripts/${name}`)));
    expect(imported).not.toEqual([]);
  });

  it('runs as a user with a number that is not root', () => {
    expect(readDocument('deploy/docker/Dockerfile')).toMatch(/^USER 1000:1000$/m);
  });

  it('is healthy where there is nothing to ask, and not where nobody answers', async () => {
    expect(await exitsOfHealthcheck(['off', '127.0.0.1:1'])).toEqual([0, 1]);
  });

  it.each([
    ['healthy', 200, 0],
    ['not healthy', 503, 1],
  ])('is %s when the agent says %d, wherever it listens', async (_, answer, exit) => {
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/healthz' ? answer : 500).end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const addresses = [String(port), `0.0.0.0:${port}`, `[::]:${port}`, `localhost:${port}`];
    expect(await exitsOfHealthcheck(addresses)).toEqual(addresses.map(() => exit));
    server.close();
  });
});

describe.each(pages)('%s', (path) => {
  const text = readDocument(path);

  it('uses only commands, flags and variables that exist', () => {
    for (const line of codeOf(text)) {
      for (const [, rest = ''] of line.matchAll(/(?:^|[\s/"])sync-agent ([a-z][^|;&)'"]*)/g)) {
        expectCommand(rest.trim().split(/\s+/), path);
      }
    }
    for (const [name] of text.matchAll(/\bSYNC_AGENT_[A-Z0-9_]+/g)) {
      expect(settingNames.map(variableOf), `${name} in ${path}`).toContain(name);
    }
  });

  it('has no link that leads nowhere', () => {
    expect(brokenLinks(path)).toEqual([]);
  });
});

it.each(pages.filter((path) => !path.endsWith('README.md')))(
  '%s says what was tested and what was not',
  (path) => {
    const text = readDocument(path);
    expect(text).toMatch(/^## Tested$/m);
    expect(text).toContain('Not tested:');
  },
);

interface Overlay {
  readonly resources: readonly string[];
  readonly patches: readonly { readonly target: { readonly kind: string }; readonly patch: string }[];
}

function expectCommand(args: readonly string[], file: string): void {
  const [name = '', ...rest] = args;
  const own = rest.slice(0, rest.includes('--') ? rest.indexOf('--') : undefined);
  expect(commandNames, `"sync-agent ${args.join(' ')}" in ${file}`).toContain(name);
  for (const flag of own.filter((word) => word.startsWith('--'))) {
    expect(flagsOf(name), `"sync-agent ${args.join(' ')}" in ${file}`).toContain(flag.replace(/=.*/, ''));
  }
}

function budgetOf(file: string): number {
  const set = variablesIn(file).find(({ name }) => name === 'SYNC_AGENT_SHUTDOWN_BUDGET');
  return parseDuration(set?.value ?? '25s') ?? Number.NaN;
}

function systemdGrace(): number {
  const unit = readDocument('deploy/systemd/sync-agent.service');
  return parseDuration(/^TimeoutStopSec=(.*)$/m.exec(unit)?.[1] ?? '') ?? Number.NaN;
}

function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (within, key) => (within as Readonly<Record<string, unknown>> | undefined)?.[key],
      value,
    );
}

function secondsAt(file: string, path: string): number {
  return Number(at(parseDeployment(file), path)) * 1000;
}

function durationAt(file: string, path: string): number {
  return parseDuration(String(at(parseDeployment(file), path))) ?? Number.NaN;
}

function without<T extends object>(value: T, key: keyof T): T {
  return { ...value, [key]: undefined };
}

function parsePatch(text: string): readonly { readonly op: string; readonly path: string }[] {
  return [...text.matchAll(/- op: (\w+)\s+path: (\S+)/g)].map(([, op = '', path = '']) => ({ op, path }));
}

async function exitsOfHealthcheck(addresses: readonly string[]): Promise<readonly (number | null)[]> {
  const exits = addresses.map(async (address) => {
    const child = spawn(process.execPath, [join(repository, 'deploy/docker/healthcheck.mjs')], {
      env: { ...process.env, SYNC_AGENT_HTTP: address },
    });
    await once(child, 'exit');
    return child.exitCode;
  });
  return Promise.all(exits);
}
