import { join } from 'node:path';

/** What programs need to be found and to run. No credentials, no settings of Chroma or of this program: those may name the real store. */
const passedOn =
  /^(PATH|LANG|LC_[A-Z]+|TZ|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|CONDA_PREFIX|NVM_BIN|VOLTA_HOME)$/;

/** The environment of a server on trial. Its home and temporary directory are `scratch`, and it tells nobody that it ran. */
export function serverEnvironment(env: NodeJS.ProcessEnv, scratch: string): NodeJS.ProcessEnv {
  const home = env['HOME'];
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => passedOn.test(name))),
    HOME: scratch,
    TMPDIR: scratch,
    // Where "pip install --user" put Python's packages.
    ...(home === undefined ? {} : { PYTHONUSERBASE: env['PYTHONUSERBASE'] ?? join(home, '.local') }),
    ANONYMIZED_TELEMETRY: 'False',
    OTEL_SDK_DISABLED: 'true',
    DO_NOT_TRACK: '1',
  };
}
