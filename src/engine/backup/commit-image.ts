import type { CreateOnlySupport } from '../../log/create-only.ts';
import { pinsOf } from '../../log/manifest.ts';
import { epochForCommit } from '../../log/precedence.ts';
import type { Written } from '../../formats/content-format.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { commitSnapshot } from './commit.ts';
import type { Committed, ManifestDraft } from './commit.ts';
import type { SnapshotWork } from './make-snapshot.ts';

export interface CommitInput extends SnapshotWork {
  readonly id: string;
  readonly written: Written;
  readonly createOnly: CreateOnlySupport;
}

/** Commits an image whose content is in the remote. A damaged one is pinned. */
export async function commitImage(context: Context, work: CommitInput): Promise<Committed> {
  const { clock, settings } = context;
  const { id, view, image, written, createOnly } = work;
  const draft = draftOf(context, work);
  const pin = { id, reason: damagedPin, at: new Date(clock.now()).toISOString(), host: settings.host };
  enterPhase(context, 'commit');
  return commitSnapshot(context, {
    draft: (current) => {
      const entries = current.snapshots.map(({ entry }) => entry);
      return { ...draft, ...epochForCommit(entries, work.epoch) };
    },
    view,
    createOnly: createOnly !== 'rejected',
    startedAt: view.serverTime,
    lastServerTime: written.serverTime,
    resolve: work.lineage.state.settled,
    ...(image.damage.length > 0 ? { pins: (current) => [...pinsOf(current.head).values(), pin] } : {}),
  });
}

/** Why a snapshot of a damaged store is pinned. */
const damagedPin = 'the store was damaged when this was made (--accept-damage)';

function draftOf({ formats, clock, settings }: Context, work: CommitInput): ManifestDraft {
  const { id, image, written, parentId } = work;
  return {
    format: formats.current.number,
    id,
    parent: parentId,
    createdAt: new Date(image.capturedAtMs).toISOString(),
    uploadId: clock.randomHex(16),
    host: settings.host,
    agent: settings.agent,
    adapter: image.adapter,
    ...(image.databases === undefined ? {} : { databases: [...image.databases] }),
    files: written.files,
    emptyDirectories: [...image.emptyDirectories],
    mode: image.mode,
    directories: [...image.directories],
    statistics: {
      ...image.statistics,
      collections: image.statistics.collections?.map((each) => ({ ...each })),
    },
    stall: { heldMs: image.heldMs, longestHoldMs: image.longestHoldMs },
    ...(image.findings.length > 0 ? { findings: [...image.findings] } : {}),
    ...(image.damage.length > 0 ? { damage: [...image.damage] } : {}),
    ...(written.content === undefined ? {} : { content: written.content }),
    ...(written.linked === undefined ? {} : { linked: written.linked }),
  };
}
