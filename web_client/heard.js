// @ts-check
/** Which sample of which track sounded when: what the ear has had, for captions, playheads and the figures. */

/** @typedef {{frame: number, track: number, offset: number, length: number}} Run frames and stream samples that sounded together */

const NUM_RUNS = 64;

export class Heard {
  /** @type {Run[]} the latest, in order */
  runs = [];

  /**
   * @param {number} frame at which the first of them sounds
   * @param {number} track
   * @param {number} offset the first sample's place in the track's stream
   * @param {number} length samples
   */
  add(frame, track, offset, length) {
    const run = this.runs.at(-1);
    if (run?.track === track && run.offset + run.length === offset && run.frame + run.length === frame) {
      run.length += length;
      return;
    }
    this.runs.push({ frame, track, offset, length });
    if (this.runs.length > NUM_RUNS) this.runs.shift();
  }

  /**
   * Takes over what another Heard reports; its last run may have grown since.
   * @param {Run[]} runs the latest of them, in order
   */
  merge(runs) {
    const first = runs[0]?.frame ?? Infinity;
    this.runs = [...this.runs.filter((run) => run.frame < first), ...runs].slice(-NUM_RUNS);
  }

  /**
   * @param {number} frame
   * @returns {{track: number, offset: number}} samples of the track that have sounded at that frame; track -1 before any
   */
  at(frame) {
    const run = this.runs.findLast((candidate) => candidate.frame <= frame) ?? this.runs[0];
    if (!run) return { track: -1, offset: 0 };
    return { track: run.track, offset: run.offset + Math.max(0, Math.min(run.length, Math.floor(frame - run.frame))) };
  }
}
