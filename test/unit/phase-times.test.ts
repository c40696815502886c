import { describe, expect, it } from 'vitest';
import { PhaseTimes } from '../../src/platform/phase-times.ts';

describe('the times of phases', () => {
  it('overlap, and tell what the operation waited for', () => {
    let now = 1000;
    const times = new PhaseTimes({ monotonic: () => now });
    const leaveCapture = times.enter('capture');
    now += 10;
    times.moved('capture', 7);
    leaveCapture();
    now += 5;
    const leaveValidate = times.enter('validate');
    now += 3;
    const leaveUpload = times.enter('upload');
    now += 20;
    leaveValidate();
    now += 4;
    leaveUpload();
    now += 100;
    expect(times.list()).toEqual([
      { phase: 'capture', tookMs: 10, waitedMs: 10, bytes: 7 },
      { phase: 'validate', tookMs: 23, waitedMs: 3, bytes: 0 },
      { phase: 'upload', tookMs: 24, waitedMs: 4, bytes: 0 },
    ]);
  });

  it('add up where a phase is entered again, and count once where it is entered twice', () => {
    let now = 0;
    const times = new PhaseTimes({ monotonic: () => now });
    const [one, other] = [times.enter('upload'), times.enter('upload')];
    now += 10;
    one();
    now += 10;
    other();
    now += 10;
    const again = times.enter('upload');
    now += 1;
    expect(times.list()).toEqual([{ phase: 'upload', tookMs: 21, waitedMs: 21, bytes: 0 }]);
    again();
  });
});
