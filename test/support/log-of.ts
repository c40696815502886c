import { formats } from '../../src/formats/registry.ts';
import type { LogSource } from '../../src/log/read-manifest.ts';
import type { Remote } from '../../src/remotes/remote.ts';

/** The log of a remote, for a reader that knows the formats of a release. */
export const logOf = (remote: Remote): LogSource => ({ remote, formats });
