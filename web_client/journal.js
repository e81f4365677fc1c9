// @ts-check
/**
 * The client's journal: what it sent and what it got, so that it can check the server's order and resume (PROTOCOL.md,
 * "Order and seq" and "Resume"). Pure. protocol/journal.py is the same in Python; here no id is ever started twice.
 */

/** @typedef {import("./messages.js").Counted} Counted */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").UtteranceMessage} UtteranceMessage */
/** @typedef {import("./messages.js").WireError} WireError */
/** @typedef {import("./messages.js").Ready} Ready */
/**
 * @typedef {object} Page what is kept of an utterance that is not over
 * @property {boolean} started
 * @property {number} nextSeq of the next audio
 * @property {number} pts ticks so far
 * @property {Map<string, number>} beside messages got with `nextSeq` that were not audio, by type
 * @property {Map<string, number>} repeated those of them that a resume may bring again
 * @property {boolean} resumed
 * @property {boolean} stopped a resume has left out sound that will not be played
 * @property {boolean} gap `replay_gap` was said: the next is a `done`, whatever its numbers
 * @property {boolean} broken the order was: all that still comes, but its `done`, is ignored
 */

const COUNTED = new Set(["start", "text", "flush", "end", "cancel", "format"]);

/** The server has broken the order of an utterance. */
export class OrderFault extends Error {
  /**
   * @param {string} utterance
   * @param {string} sentence
   */
  constructor(utterance, sentence) {
    super(sentence);
    this.utterance = utterance;
  }
}

/** @param {ClientMessage} message @returns {message is Counted} whether `ready.client_messages` counts it */
export function isCounted(message) {
  return COUNTED.has(message.type);
}

export class Journal {
  /** @type {Map<string, Page>} */
  #live = new Map();
  /** Counted messages since the last `ready`. */
  #numSent = 0;
  /** Those whose utterance is not over. @type {{number: number, message: Counted}[]} */
  #sent = [];

  /** `hello.resume.received`: for each utterance whose `done` is lacking, the next seq wanted. */
  get received() {
    return Object.fromEntries([...this.#live].map(([name, { nextSeq }]) => [name, nextSeq]));
  }

  /** Utterances that are asked for or under way. */
  get live() {
    return [...this.#live.keys()];
  }

  /** Notes a message to the server, which goes out now or, if there is no connection, with the next resume. @param {Counted} message */
  give(message) {
    if (message.type === "start") {
      this.#live.set(message.utterance, {
        started: false, nextSeq: 0, pts: 0, beside: new Map(), repeated: new Map(),
        resumed: false, stopped: false, gap: false, broken: false,
      });
    }
    this.#numSent += 1;
    const meansSomething = this.#live.has(message.utterance) && (message.type !== "text" || message.text);
    if (meansSomething) this.#keep(message);
  }

  /**
   * @param {UtteranceMessage | WireError} message
   * @returns {boolean} whether it is news: a resume may repeat some. Throws OrderFault
   */
  take(message) {
    const { utterance } = message;
    if (utterance === undefined || utterance === null) return true;
    const page = this.#live.get(utterance);
    if (message.type === "error" && (!page || (message.seq ?? null) === null)) {
      if (page && !page.started) this.#finish(utterance);
      return true;
    }
    if (!page) return false;
    if (message.type === "done" && (page.gap || page.broken)) {
      this.#finish(utterance);
      return true;
    }
    if (page.broken) return false;
    if (message.type === "error" && message.code === "replay_gap") {
      page.gap = true;
      return true;
    }
    if (!this.#inOrder(utterance, page, message)) return false;
    if (message.type === "audio") {
      page.pts += message.samples;
      page.nextSeq += 1;
      page.beside.clear();
      page.repeated.clear();
    } else if (message.type === "done") {
      this.#finish(utterance);
    } else {
      page.beside.set(message.type, (page.beside.get(message.type) ?? 0) + 1);
      if (message.type === "started") page.started = true;
    }
    return true;
  }

  /**
   * @param {Ready} ready
   * @returns {Counted[]} what is to be sent again, in order, before anything else
   */
  ready(ready) {
    if (!ready.resumed) {
      this.abandon();
      return [];
    }
    const again = this.#sent.filter(({ number }) => number > (ready.client_messages ?? 0)).map(({ message }) => message);
    this.#sent = again.map((message, index) => ({ number: index + 1, message }));
    this.#numSent = again.length;
    for (const page of this.#live.values()) {
      page.resumed = true;
      page.repeated = new Map(page.beside);
    }
    return again;
  }

  /** There is no session to resume: its utterances are lost, and counting starts anew. */
  abandon() {
    this.#live.clear();
    this.#sent = [];
    this.#numSent = 0;
  }

  /**
   * To be said again, if need be. Of wishes of which the last counts the first stays, too, since what was said after it
   * may rely on it; so does each that stands before a `start`.
   * @param {Counted} message
   */
  #keep(message) {
    const since = this.#sent.findLastIndex((sent) => sent.message.type === "start");
    const outdone = this.#sent.slice(since + 1).filter((sent) => outdoes(message, sent.message)).slice(1);
    if (outdone.length) this.#sent = this.#sent.filter((sent) => !outdone.includes(sent));
    this.#sent.push({ number: this.#numSent, message });
  }

  /**
   * @param {string} utterance
   * @param {Page} page
   * @param {UtteranceMessage | WireError} message
   * @returns {boolean} whether it is the next one; false if a resume has repeated it
   */
  #inOrder(utterance, page, message) {
    const seq = message.seq ?? 0;
    if (page.resumed && seq < page.nextSeq) return false;
    const repeated = page.repeated.get(message.type) ?? 0;
    if (seq === page.nextSeq && repeated > 0) {
      page.repeated.set(message.type, repeated - 1);
      return false;
    }
    if (page.resumed && seq > page.nextSeq && maySkipSound(message)) {
      page.nextSeq = seq;
      page.stopped = true;
      page.beside.clear();
      page.repeated.clear();
    }
    const wrong = faultOf(page, message, seq);
    if (!wrong) return true;
    page.broken = true;
    throw new OrderFault(utterance, wrong);
  }

  /** @param {string} utterance whose messages need not be sent again */
  #finish(utterance) {
    this.#live.delete(utterance);
    this.#sent = this.#sent.filter(({ message }) => message.utterance !== utterance);
  }
}

/**
 * @param {Counted} wish
 * @param {Counted} earlier
 * @returns {boolean} whether nothing is lost if only the later of the two is heeded
 */
function outdoes(wish, earlier) {
  if (wish.utterance !== earlier.utterance) return false;
  if (wish.type === "format") return earlier.type === "format";
  if (wish.type !== "cancel" || earlier.type !== "cancel") return false;
  const isAsSoon = wish.at !== "word" || earlier.at === "word";
  return isAsSoon && (earlier.played === undefined || wish.played !== undefined);
}

/** @param {UtteranceMessage | WireError} message whether it may come of a stopped utterance without the sound before it */
function maySkipSound(message) {
  return message.type === "error" || (message.type === "done" && message.reason !== "end");
}

/**
 * @param {Page} page
 * @param {UtteranceMessage | WireError} message
 * @param {number} seq
 * @returns {string} empty: nothing is wrong
 */
function faultOf(page, message, seq) {
  if (seq !== page.nextSeq) return `expected ${message.type} with seq ${page.nextSeq}, got ${seq}`;
  if (message.type === "audio" && message.pts !== page.pts) return `expected audio from tick ${page.pts}, got ${message.pts}`;
  if (message.type === "done" && message.samples !== page.pts && !page.stopped) {
    return `expected done after ${page.pts} samples, got ${message.samples}`;
  }
  return "";
}
