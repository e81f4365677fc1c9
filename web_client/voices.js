// @ts-check
/** The server's voices, over HTTP: which there are, one more, one fewer. */

/** @typedef {{name: string, language: string, gender?: string, description?: string, removable?: boolean}} Voice */
/** @typedef {{bytes: number, seconds: number}} SampleLimits of a voice's sample: the file's size and its sound's length */
/**
 * @typedef {object} Listing
 * @property {string} default the voice of who asks for none
 * @property {Voice[]} voices
 * @property {boolean} [can_add] whether the model learns voices
 * @property {SampleLimits} [limits]
 */
/** @typedef {{voice: Voice, speaks: boolean}} Added a voice as the server knows it, and whether it can be spoken with already */
/** @typedef {import("./submission.js").Submission} Submission */

const PATH = "v1/voices";
/** The answer of a server whose engine is being restarted: the voice comes with it. */
const ACCEPTED = 202;

/** The server did not do what was asked; the message is its own sentence, empty if it said none. */
export class Refusal extends Error {
  /**
   * @param {string} code the server's, or `unreachable`
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Voices {
  #key;
  #fetch;

  /**
   * @param {() => string | null} key the server's API key, where it asks for one
   * @param {(path: string, init: RequestInit) => Promise<Response>} [fetcher]
   */
  constructor(key, fetcher = (path, init) => fetch(path, init)) {
    this.#key = key;
    this.#fetch = fetcher;
  }

  /** @returns {Promise<Listing>} @throws {Refusal} */
  async list() {
    return bodyOf(await this.#ask(PATH));
  }

  /**
   * @param {Submission} submission complete
   * @param {AbortSignal} [signal] calls it off
   * @returns {Promise<Added>}
   * @throws {Refusal}
   */
  async add(submission, signal) {
    const { name, language, transcript, licence, consent, sample } = submission;
    const form = new FormData();
    const fields = { name: name.trim(), language, transcript: transcript.trim(), licence: licence.trim() };
    for (const [key, value] of Object.entries(fields)) form.append(key, value);
    form.append("consent", String(consent));
    if (sample) form.append("audio", sample.file, sample.name);
    const answer = await this.#ask(PATH, { method: "POST", body: form, signal });
    return { voice: await bodyOf(answer), speaks: answer.status !== ACCEPTED };
  }

  /** @param {string} name @throws {Refusal} */
  async remove(name) {
    await this.#ask(`${PATH}/${encodeURIComponent(name)}`, { method: "DELETE" });
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} a good one
   */
  async #ask(path, init = {}) {
    const key = this.#key();
    const headers = key ? { authorization: `Bearer ${key}` } : undefined;
    const answer = await this.#fetch(path, { ...init, headers }).catch(() => null);
    if (!answer) throw new Refusal("unreachable", "");
    if (answer.ok) return answer;
    const { code, message } = (await answer.json().catch(() => null))?.error ?? {};
    throw new Refusal(code ?? "refused", message ?? `${answer.status} ${answer.statusText}`.trim());
  }
}

/** @param {Response} answer @returns {Promise<any>} @throws {Refusal} it was cut short, or is not the server's */
async function bodyOf(answer) {
  return answer.json().catch(() => {
    throw new Refusal("unreachable", "");
  });
}
