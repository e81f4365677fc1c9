// @ts-check
/**
 * The jitter buffer and the ear's accountant. Pure: no Web Audio, no clock; time is the count of frames asked for.
 *
 * Tracks (one an utterance, numbered upwards) play one after another, every sample once and in order. All lengths are
 * samples at the playing rate. What is added to the signal: 5 ms of concealment where the buffer runs dry, 5 ms of
 * fade-in where speech resumes after that, fades at a stop or a pause. Nothing is ever stretched or skipped.
 */

import { Fades } from "./fades.js";
import { Heard } from "./heard.js";
import { Track } from "./track.js";

/** @typedef {"idle" | "buffering" | "playing"} State */
/** @typedef {{type: "start" | "dry" | "end" | "cut", track: number, offset: number, frame: number}} PlayoutEvent */

// By tests/web_client/simulate.mjs, for patches of 160 ms: an announced rtf lets a fast server's first patch play at
// once (it carries its own slack); waiting for a second patch always would cost rtf x 160 ms and gain little.
const BASE_TARGET_MS = 100;
const MAX_TARGET_MS = 1000;
const FADE_MS = 5;
const STOP_FADE_MS = 10;
const CAPACITY_MS = 2_700_000; // nine utterances' 300 s, which a slow server makes ahead (PROTOCOL.md, Pacing)

export class Playout {
  /** @type {State} */
  state = "idle";
  paused = false;
  /** Times that the buffer ran dry although speech was due. */
  underruns = 0;
  /** Samples refused: of a cut track, or beyond the capacity. */
  refused = 0;
  heard = new Heard();
  /** @type {PlayoutEvent[]} since the caller last emptied it */
  events = [];

  /** @type {Track[]} */
  #tracks = [];
  #cutTrack = -1;
  #frame = 0;
  #rate;
  #patch;
  #announcedRtf;
  #rtf;
  #least;
  #base;
  #fades;
  #late = 0;

  /**
   * @param {object} options
   * @param {number} options.sampleRate Hz, of what is pushed and pulled
   * @param {number} [options.patchMs] speech in a usual push
   * @param {number} [options.rtf] seconds the server needs for a second of speech; 1 if unknown
   * @param {number} [options.targetMs] what earlier utterances taught (`targetMs`)
   * @param {number} [options.baseMs] the least target
   */
  constructor({ sampleRate, patchMs = 160, rtf = 1, targetMs = 0, baseMs = BASE_TARGET_MS }) {
    this.#rate = sampleRate;
    this.#patch = this.#samples(patchMs);
    this.#announcedRtf = this.#rtf = rtf;
    this.#least = this.#samples(baseMs);
    this.#base = Math.min(this.#samples(MAX_TARGET_MS), Math.max(this.#least, this.#samples(targetMs)));
    this.#fades = new Fades(this.#samples(FADE_MS));
  }

  /** @param {number} ms */
  #samples(ms) {
    return Math.round((ms * this.#rate) / 1000);
  }

  get #target() {
    return Math.min(this.#samples(MAX_TARGET_MS), Math.max(this.#base, 1.1 * this.#late));
  }

  /** The slack, in ms, that speech starts with; learned from late arrivals and underruns. */
  get targetMs() {
    return (1000 * this.#target) / this.#rate;
  }

  /** What sounds, or will sound next. */
  get head() {
    return this.#tracks[0];
  }

  /** Samples that wait to be played. */
  get buffered() {
    return this.#tracks.reduce((sum, track) => sum + track.buffered, 0);
  }

  /** Announces an utterance. @param {number} number larger than any before; ignored if a cut has passed it */
  open(number) {
    if (number <= this.#cutTrack) return;
    this.#tracks.push(new Track(number));
    if (this.state === "idle") this.state = "buffering";
  }

  /** A run begins: the writer had paused, so the network has no part in the silence. @param {number} number */
  openRun(number) {
    const track = this.find(number);
    if (!track) return;
    track.best = Infinity;
    this.#excuse(track);
  }

  /** @param {number} number @param {import("./timeline.js").Samples} samples continuing the track's stream */
  push(number, samples) {
    const track = this.find(number);
    if (!track || this.buffered + samples.length > this.#samples(CAPACITY_MS)) {
      this.refused += samples.length;
      return;
    }
    if (!samples.length) return;
    if (!track.headstart.slow && track.buffered < this.#samples(MAX_TARGET_MS)) {
      // With more than that in hand the server may be pacing itself: late is then no measure of the network.
      const lead = this.#frame - (track.played + track.buffered);
      track.best = Math.min(track.best, lead);
      this.#late = Math.max(this.#late * 0.995, lead - track.best);
    }
    track.arrival = this.#frame;
    this.admitGap(number); // a writer's pause would have begun a new run
    track.push(samples);
  }

  /** If it ran dry, speech was due: only now that is known. @param {number} number */
  admitGap(number) {
    const track = this.find(number);
    if (!track?.dried) return;
    this.underruns += 1;
    this.#event("dry", track, track.dried.frame);
    track.dried = null;
  }

  /** All of the track has been pushed. @param {number} number */
  end(number) {
    const track = this.find(number);
    if (!track) return;
    track.complete = true;
    this.#excuse(track);
  }

  /**
   * What is to sound from a stream sample on is dropped, with a fade that ends there, or at once if that has sounded already.
   * @param {number} number
   * @param {number} offset
   * @param {boolean} [goesOn] with other sound; else the track ends there
   * @returns {number} where it was cut
   */
  truncate(number, offset, goesOn = false) {
    const track = this.find(number);
    if (!track) return offset;
    const sounding = track === this.#tracks[0] && this.state === "playing" && !this.paused;
    const least = sounding ? Math.min(this.#samples(FADE_MS), track.buffered) : 0;
    const end = Math.max(offset, track.played + least);
    return goesOn ? track.splice(end, this.#samples(STOP_FADE_MS)) : track.stopAt(end, this.#samples(STOP_FADE_MS));
  }

  /** Barge-in: fades out what sounds, and forgets every track up to this one, also those to come. @param {number} number */
  cut(number) {
    this.#cutTrack = Math.max(this.#cutTrack, number);
    const gone = this.#tracks.filter((track) => track.number <= number);
    if (!gone.length) return;
    this.#fadeOut(gone[0]);
    for (const track of gone) this.#event("cut", track);
    this.#tracks = this.#tracks.slice(gone.length);
    this.#next();
  }

  pause() {
    if (this.paused) return;
    if (this.state === "playing") {
      this.#fadeOut(this.#tracks[0]);
      this.#fades.armFadeIn();
    }
    this.paused = true;
  }

  resume() {
    this.paused = false;
    for (const track of this.#tracks) track.best = Infinity;
  }

  /**
   * @param {Float32Array} out filled with what sounds at `frame` and after it
   * @param {number} frame the caller's clock; grows by `out.length`, or jumps forward
   */
  pull(out, frame) {
    for (let at = 0; at < out.length; ) {
      this.#frame = frame + at;
      if (this.#fades.ending) {
        at += this.#fades.pull(out.subarray(at));
        continue;
      }
      const track = this.#tracks[0];
      if (!track || this.paused || (this.state === "buffering" && !this.#mayStart(track))) {
        out.fill(0, at);
        break;
      }
      const length = Math.min(out.length - at, track.available);
      if (length > 0) {
        if (this.state === "buffering") this.#start(track);
        this.#sound(track, out.subarray(at, at + length));
        at += length;
      } else if (track.seam) {
        if (this.state === "playing" && track.seamWaits) this.#hush(track);
        track.passSeam();
      } else if (track.complete) {
        this.#finish(track);
      } else {
        this.#runDry(track);
      }
    }
    this.#frame = frame + out.length;
  }

  /**
   * Speech starts when what is buffered outlasts the wait for the next patch by the target, and gives the rest of a slow
   * server's speech its head start; or when nothing has come for so long that the writer must have paused, or else the
   * last words before a pause would never be heard.
   * @param {Track} track
   */
  #mayStart(track) {
    if (track.complete) return true;
    if (!track.buffered) return false;
    const since = this.#frame - track.arrival;
    if (track.headstart.wait(track)) return track.headstart.stalled(since);
    const interval = this.#rtf * this.#patch;
    const slack = track.buffered - Math.max(0, interval - since);
    return slack >= this.#target || since >= Math.max(this.#target, 2 * interval);
  }

  /** @param {Track} track */
  #start(track) {
    this.state = "playing";
    track.best = Infinity;
    this.#event("start", track);
  }

  /** @param {Track} track @param {Float32Array} out no longer than what is available */
  #sound(track, out) {
    this.heard.add(this.#frame, track.number, track.played, out.length);
    track.take(out);
    this.#fades.shape(out);
  }

  /** Lets the last bit of speech fade out, if any sounds. @param {Track} track */
  #fadeOut(track) {
    if (this.state !== "playing" || this.paused || this.#fades.ending) return;
    this.#fades.begin(track.available, (out) => this.#sound(track, out));
  }

  /** @param {Track} track */
  #finish(track) {
    this.#event("end", track);
    this.#tracks.shift();
    this.#base = Math.max(this.#least, this.#base * 0.95);
    this.#next();
  }

  #next() {
    this.#rtf = this.#announcedRtf;
    this.#fades.disarmFadeIn();
    this.state = this.#tracks.length ? "buffering" : "idle";
  }

  /** @param {Track} track it may run dry; if so, for want of text */
  #excuse(track) {
    if (!track.dried) return;
    this.#base = track.dried.base;
    this.#rtf = track.dried.rtf;
    track.dried = null;
    this.#fades.disarmFadeIn();
  }

  /** @param {Track} track */
  #runDry(track) {
    track.dried = { base: this.#base, rtf: this.#rtf, frame: this.#frame };
    this.#base = Math.min(this.#samples(MAX_TARGET_MS), this.#target * 1.5);
    this.#rtf = Math.max(this.#rtf, 1);
    this.#hush(track);
  }

  /** Silence until the track may start again. @param {Track} track */
  #hush(track) {
    track.headstart.waived = false;
    this.#fadeOut(track);
    this.#fades.armFadeIn();
    this.state = "buffering";
  }

  /** @param {PlayoutEvent["type"]} type @param {Track} track @param {number} [frame] */
  #event(type, track, frame = this.#frame) {
    this.events.push({ type, track: track.number, offset: track.played, frame });
  }

  /** @param {number} number @returns {Track | undefined} */
  find(number) {
    return this.#tracks.find((track) => track.number === number);
  }
}
