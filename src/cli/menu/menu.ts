import type { Prompter } from '../init/ask/prompter.ts';
import { clackPrompter } from '../init/ask/prompter.ts';
import { exitCodes, isSyncAgentError } from '../../platform/errors.ts';
import { quote } from '../carry-out.ts';

/** Runs a command line to its end, and says itself what went wrong. */
export type RunLine = (args: readonly string[]) => Promise<unknown>;

interface Item {
  readonly label: string;
  /** The command, with what is still asked in capitals. */
  readonly hint: string;
  /** Asks what the command needs. */
  readonly words: (prompter: Prompter) => Promise<readonly string[]>;
}

const askSnapshot = (prompter: Prompter): Promise<string> =>
  prompter.ask({
    message: 'Which snapshot? An id or the start of one, latest, or ~1 for the one before',
    initial: 'latest',
    judge: required,
  });

const required = (answer: string): string | undefined => (answer === '' ? 'It needs an answer' : undefined);

const items = {
  backup: { label: 'Back up', hint: 'sync-agent backup', words: async () => ['backup'] },
  list: { label: 'List the snapshots', hint: 'sync-agent list', words: async () => ['list'] },
  show: {
    label: 'Show a snapshot',
    hint: 'sync-agent show SNAPSHOT',
    words: async (prompter) => ['show', await askSnapshot(prompter)],
  },
  restore: {
    label: 'Restore a snapshot',
    hint: 'sync-agent restore --snapshot SNAPSHOT',
    words: async (prompter) => ['restore', '--snapshot', await askSnapshot(prompter)],
  },
  check: { label: 'Check the store', hint: 'sync-agent check', words: async () => ['check'] },
  archive: {
    label: 'Write an archive',
    hint: 'sync-agent archive --to FILE.zip',
    words: async (prompter) => [
      'archive',
      '--to',
      await prompter.ask({
        message: 'Into which file or directory?',
        initial: 'archive.zip',
        judge: required,
      }),
    ],
  },
} as const satisfies Readonly<Record<string, Item>>;

type Choice = keyof typeof items | 'quit';

/** Asks a person what to do, shows the command for it, runs it, and asks again. Resolves to the exit code. */
export async function runMenu(run: RunLine): Promise<number> {
  const { stdin: input, stderr: output } = process;
  const { signal } = new AbortController();
  const prompter = clackPrompter(await import('@clack/prompts'), { input, output, signal });
  let initial: Choice = 'backup';
  for (;;) {
    const choice: Choice | undefined = await orCancelled(
      prompter.choose<Choice>({
        message: 'sync-agent: what shall be done?',
        options: [
          ...Object.entries(items).map(([value, { label, hint }]) => ({
            value: value as Choice,
            label,
            hint,
          })),
          { value: 'quit', label: 'Quit' },
        ],
        initial,
      }),
    );
    if (choice === undefined) return exitCodes.INTERRUPTED;
    if (choice === 'quit') return 0;
    initial = choice;
    const words: readonly string[] | undefined = await orCancelled(items[choice].words(prompter));
    if (words === undefined) continue;
    prompter.announce(['sync-agent', ...words].map(quote).join(' '));
    await run(words);
  }
}

/** Undefined if the person took the question back. */
async function orCancelled<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isSyncAgentError(error, 'INTERRUPTED')) return undefined;
    throw error;
  }
}
