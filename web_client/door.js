// @ts-check
/**
 * Why a WebSocket did not open. A browser does not tell a page the HTTP status of a refusal, so the server is asked the
 * same over plain HTTP, as far as that goes.
 */

/** @typedef {"away" | "draining" | "starting" | "full" | "shut"} Door shut: this page's origin is refused */

const LOOK_MS = 2_000;

/**
 * @param {string} url of the WebSocket
 * @param {string} [token] the server's API key
 * @param {typeof fetch} [ask]
 * @returns {Promise<Door>}
 */
export async function lookAtDoor(url, token, ask = fetch) {
  const base = url.replace(/^ws/, "http");
  try {
    const ready = await ask(new URL("../readyz", base), { signal: AbortSignal.timeout(LOOK_MS) });
    if (!ready.ok) return (await ready.text()).startsWith("draining") ? "draining" : "starting";
    // A GET of the own origin does not name it. This POST does, and is refused as it has no form: nothing happens.
    const headers = token ? { authorization: `Bearer ${token}` } : undefined;
    const voices = await ask(new URL("voices", base), { method: "POST", headers, signal: AbortSignal.timeout(LOOK_MS) });
    return voices.status === 403 ? "shut" : "full";
  } catch {
    return "away";
  }
}
