/** It has said why itself. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';

  constructor(program: string, exitCode: number) {
    super(`"${program}" ended with exit code ${exitCode}`);
  }
}
