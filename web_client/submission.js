// @ts-check
/** What makes a voice, as its form holds it, and what it still lacks. Pure: the server has the last word. */

/** @typedef {import("./voices.js").SampleLimits} SampleLimits */
/**
 * @typedef {object} Sample
 * @property {Blob} file
 * @property {string} name the file's
 * @property {number} [seconds] unknown until the browser has looked into it, or for good
 */
/**
 * @typedef {object} Submission
 * @property {string} name
 * @property {string} language BCP 47
 * @property {string} transcript what is said in the sample
 * @property {string} licence
 * @property {boolean} consent
 * @property {Sample | null} sample
 */
/** @typedef {{field: "sample" | "name" | "transcript" | "licence" | "consent", key: string, values?: Record<string, number>}} Lack */

const MEGABYTE = 2 ** 20;
/** A browser that has not decoded a file knows its length about so well. */
const DOUBT_S = 0.5;

/**
 * @param {Submission} submission
 * @param {SampleLimits} limits the server's
 * @returns {Lack | null} the first thing to be mended, and the key of the sentence that says so
 */
export function lacking({ name, transcript, licence, consent, sample }, limits) {
  const fault = faultOf(sample, limits);
  if (fault) return fault;
  if (!name.trim()) return { field: "name", key: "voiceNeedsName" };
  if (!transcript.trim()) return { field: "transcript", key: "voiceNeedsTranscript" };
  if (!licence.trim()) return { field: "licence", key: "voiceNeedsLicence" };
  if (!consent) return { field: "consent", key: "voiceNeedsConsent" };
  return null;
}

/**
 * @param {Sample | null} sample
 * @param {SampleLimits} limits
 * @returns {Lack | null}
 */
function faultOf(sample, { bytes, seconds }) {
  if (!sample) return { field: "sample", key: "voiceNeedsSample" };
  if (!sample.file.size) return { field: "sample", key: "voiceEmpty" };
  if (sample.file.size > bytes) {
    return { field: "sample", key: "voiceTooBig", values: { size: rounded(sample.file.size), limit: rounded(bytes) } };
  }
  if ((sample.seconds ?? 0) > seconds + DOUBT_S) {
    return { field: "sample", key: "voiceTooLong", values: { seconds: Math.round(sample.seconds ?? 0), limit: seconds } };
  }
  return null;
}

/** @param {number} bytes @returns {number} megabytes, one decimal */
export function rounded(bytes) {
  return Math.round((10 * bytes) / MEGABYTE) / 10;
}
