/** The messages of the wire that this page uses (PROTOCOL.md), and those between its threads. Types only; never served to be run. */

import type { Samples } from "./timeline.js";
import type { Prospect, Wait } from "./headstart.js";
import type { Door } from "./door.js";
import type { Run } from "./heard.js";

type Codec = "pcm_s16le" | "pcm_f32le" | "opus";

export interface AudioFormat {
  codec: Codec;
  sample_rate?: number;
  bitrate?: number;
  frame_ms?: number;
}

export type ResolvedFormat = Required<AudioFormat> & { pre_skip: number };

export interface Start {
  type: "start";
  utterance: string;
  voice?: string;
  language?: string;
  speed?: number;
  seed?: number;
  params?: Record<string, number>;
  audio?: AudioFormat;
  words?: boolean;
  after?: string;
}

/** `received`: by utterance, the seq wanted next. */
export interface Resume {
  session: string;
  token: string;
  received: Record<string, number>;
}

/** Those that `ready.client_messages` counts. */
export type Counted =
  | Start
  | { type: "text"; utterance: string; text: string }
  | { type: "flush"; utterance: string }
  | { type: "end"; utterance: string }
  | { type: "cancel"; utterance: string; at?: "now" | "word"; played?: number }
  | { type: "format"; utterance: string; audio: AudioFormat };

export type ClientMessage =
  | { type: "hello"; version: 1; client?: string; token?: string; lead_ms?: number | null; audio?: AudioFormat; resume?: Resume }
  | Counted
  | { type: "playhead"; utterance: string; played?: number; received?: number; paused?: boolean }
  | { type: "ping"; nonce?: number }
  | { type: "close" };

export interface Model {
  name: string;
  sample_rate: number;
  patch_ms: number;
  languages?: string[];
  realtime?: boolean;
  rtf?: number | null;
  controls?: { speed?: string; volume?: string };
}

export interface Limits {
  message_bytes?: number;
  utterances?: number;
  chars_per_s?: number;
  pending_chars?: number;
  text_chars?: number;
}

export interface Ready {
  type: "ready";
  session: string;
  resume_token?: string;
  resumed?: boolean;
  client_messages?: number;
  resume?: string;
  server?: { name: string; version: string };
  model: Model;
  audio: ResolvedFormat;
  voice: string;
  limits?: Limits;
}

export interface Spoken {
  text_end: number;
  pts: number;
}

export interface WireError {
  type: "error";
  code: string;
  message: string;
  utterance?: string | null;
  seq?: number | null;
  fatal?: boolean | null;
  retry_after_ms?: number | null;
}

/** [text_start, text_end, pts, pts_end]: code points, ticks */
export type Word = [number, number, number, number];

export interface Started { type: "started"; utterance: string; seq: number; voice: string; language: string; audio: ResolvedFormat; seed?: number; params?: Record<string, number> }
export interface Segment { type: "segment"; utterance: string; seq: number; text_start: number; text_end: number; pts: number }
export interface Words { type: "words"; utterance: string; seq: number; words: Word[]; estimated?: boolean }
export interface Audio { type: "audio"; utterance: string; seq: number; pts: number; samples: number; data?: Uint8Array<ArrayBuffer>; packets?: Uint8Array<ArrayBuffer>[] }
export interface FormatChanged { type: "format"; utterance: string; seq: number; audio: ResolvedFormat }
export interface Done { type: "done"; utterance: string; seq: number; reason: "end" | "cancelled" | "error"; samples: number; spoken?: Spoken }

export type UtteranceMessage = Started | Segment | Words | Audio | FormatChanged | Done;
export type ServerMessage =
  | Ready
  | UtteranceMessage
  | WireError
  | { type: "drain"; deadline_ms: number }
  | { type: "pong"; nonce?: unknown; server_ms?: number };

/** Page to Worker. `track`: the utterance's number on this page, growing. */
export type PageToNet =
  | { type: "connect"; url: string; token?: string }
  | { type: "retry" }
  | { type: "wake" } // something may be said in a moment: a link that rests connects
  | { type: "nudge" } // the network may have changed
  | { type: "sink"; port: MessagePort; sampleRate: number }
  | { type: "start"; track: number; start: Start }
  | { type: "text"; utterance: string; text: string }
  | { type: "end"; utterance: string }
  | { type: "stop"; track: number }
  | { type: "stop-at-word"; utterance: string }
  | { type: "wav"; utterance: string }
  | { type: "close" };

/** "lost": a new connection is tried by itself; speech goes on from what has come. */
/** `resting`: the server has closed a connection on which nothing was said; the next speech opens another. */
export type LinkState = "connecting" | "ready" | "lost" | "resting" | "unauthorized" | "refused";

/** Worker to page. */
export type NetToPage =
  | { type: "link"; state: LinkState; retryMs?: number; reason?: string; door?: Door }
  | { type: "drain" }
  | Ready
  | { type: "started"; utterance: string; started: Started }
  /** It goes on in another session from that code point, after what has come. `bins` of the outline stay. */
  | { type: "restarted"; utterance: string; text_start: number; ticks: number; length: number; bins: number }
  | { type: "run"; utterance: string; pts: number; offset: number }
  | { type: "audio"; utterance: string; ticks: number; length: number; peaks: Int8Array }
  | { type: "words"; utterance: string; words: Word[] }
  | { type: "segment"; utterance: string; text_start: number; text_end: number; pts: number }
  | { type: "figure"; utterance: string; firstAudioMs?: number; firstSoundMs?: number }
  | { type: "done"; utterance: string; reason: Done["reason"] | "lost"; ticks: number; spoken?: Spoken }
  | { type: "error"; code: string; message: string; utterance?: string }
  | { type: "wav"; utterance: string; file: ArrayBuffer | null };

/** Worker to the playing thread. */
export type NetToSink =
  | { type: "open"; track: number }
  | { type: "run"; track: number }
  | { type: "audio"; track: number; samples: Samples }
  | ({ type: "outlook"; track: number } & Prospect) // of a slow machine's speech
  | { type: "seam"; track: number; offset: number; length: number } // a clause of it
  | { type: "end"; track: number }
  /** What was to sound from there on is dropped, and other sound follows: `due` long ago, or some time. */
  | { type: "splice"; track: number; offset: number; due: boolean }
  | { type: "truncate"; track: number; offset: number };

/** The playing thread to the Worker. */
export type SinkToNet =
  | { type: "heard"; track: number; offset: number; paused: boolean }
  | { type: "sounding"; track: number }
  | { type: "spliced"; track: number; offset: number } // there: at or after the place asked for
  | { type: "cut"; track: number; heard: { track: number; offset: number } }; // all up to `track` stopped, and where

/** Page to the playing thread. */
export type PageToSink =
  | { type: "port"; port: MessagePort }
  | { type: "stop"; track: number }
  | { type: "pause"; paused: boolean }
  | { type: "hurry" } // what there is, although the rest may not follow at once
  | { type: "latency"; frames: number }
  | { type: "tape" };

export interface Position {
  type: "position";
  frame: number;
  runs: Run[];
  state: "idle" | "buffering" | "playing";
  paused: boolean;
  buffered: number;
  targetMs: number;
  /** Slow speech that is held back until the rest plays without a gap. */
  wait: Wait | null;
  underruns: number;
  /** Stream places where the buffer ran dry since the last report. */
  dry: { track: number; offset: number }[];
  /** Tracks that have sounded to their end since the last report. */
  ended: number[];
}

export interface TapeRecord {
  type: "tape";
  sampleRate: number;
  /** Frame of the first sample. */
  frame: number;
  samples: Float32Array;
  runs: Run[];
  /** Frames at which a stop was asked for. */
  stops: number[];
}

/** The playing thread to the page. */
export type SinkToPage = Position | TapeRecord;
