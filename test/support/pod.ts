/** As far as the checks below look at it. */
export interface Pod {
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: { readonly runAsNonRoot?: boolean; readonly fsGroup?: number };
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly restartPolicy?: string;
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
  readonly resources?: { readonly requests?: object };
  readonly volumeMounts?: readonly { readonly mountPath: string }[];
  readonly startupProbe?: object;
  readonly readinessProbe?: object;
  readonly livenessProbe?: object;
  readonly lifecycle?: { readonly preStop?: object };
}

/** What is wrong with a pod that runs an application with the agent beside it. `stopMs`: preStop and the last backup. */
export function podProblems(pod: Pod, stopMs: number): readonly string[] {
  const problems: string[] = [];
  const want = (holds: boolean, problem: string): void => void (holds || problems.push(problem));
  const inits = pod.initContainers ?? [];
  const restore = inits.findIndex(({ args }) => args?.[0] === 'restore');
  const watch = inits.findIndex(({ args }) => args?.[0] === 'watch');

  want(restore !== -1 && inits[restore]?.restartPolicy === undefined, 'no init container restores');
  want(watch > restore, 'the agent does not start after the restore');
  want(inits[watch]?.restartPolicy === 'Always', 'the agent is no sidecar');
  want(inits[watch]?.readinessProbe === undefined, "the agent's readiness decides on the pod's");
  for (const each of [inits[watch], ...pod.containers]) {
    want(each?.startupProbe !== undefined && each.livenessProbe !== undefined, `no probes: ${each?.name}`);
    want(each?.lifecycle?.preStop !== undefined, `no preStop: ${each?.name}`);
  }
  for (const each of pod.containers) want(each.readinessProbe !== undefined, `not ready: ${each.name}`);

  want(pod.securityContext?.runAsNonRoot === true, 'may run as root');
  want((pod.securityContext?.fsGroup ?? 0) > 0, 'the volume belongs to root');
  for (const each of [...inits, ...pod.containers]) {
    const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = each.securityContext ?? {};
    want(allowPrivilegeEscalation === false, `may gain privileges: ${each.name}`);
    want(readOnlyRootFilesystem === true, `may write to its image: ${each.name}`);
    want(capabilities?.drop?.includes('ALL') === true, `has capabilities: ${each.name}`);
    want(each.resources?.requests !== undefined, `requests nothing: ${each.name}`);
    // A volume at /data/chroma would have the agent's own files inside the store.
    want(
      each.volumeMounts?.some(({ mountPath }) => mountPath === '/data') === true,
      `no /data: ${each.name}`,
    );
  }
  const graceMs = (pod.terminationGracePeriodSeconds ?? 30) * 1000;
  want(graceMs >= stopMs + 15_000, `${graceMs} ms to stop in, ${stopMs} ms and slack needed`);
  return problems;
}
