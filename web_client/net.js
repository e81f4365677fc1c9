// @ts-check
/** The Worker's first script: nothing but the one Switchboard of this page. */

import { Switchboard } from "./switchboard.js";

new Switchboard(/** @type {import("./switchboard.js").WorkerScope} */ (/** @type {unknown} */ (self)));
