// Asking again, cheaply: soon while things change, ever more rarely while they don't, not at all in a hidden tab.
import { ApiError } from "./api.js";

const FIRST_MS = 4_000;
const QUIET_MS = 30_000;
const ERROR_MS = 60_000;

export class Poll {
  #timer = null;
  #delay = FIRST_MS;
  #running = false;
  #busy = false;
  #again = false;

  /** `fetchOnce()` resolves to whether anything changed; `report(error)` says how it went, null where well. */
  constructor(fetchOnce, report) {
    this.fetchOnce = fetchOnce;
    this.report = report;
    document.addEventListener("visibilitychange", () => this.soon());
    window.addEventListener("online", () => this.soon());
  }

  start() {
    this.#running = true;
    this.soon();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** Ask now and go back to the quick rhythm. */
  soon() {
    if (!this.#running) return;
    this.#delay = FIRST_MS;
    this.#turn();
  }

  async #turn() {
    clearTimeout(this.#timer);
    if (!this.#running || document.hidden) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      const changed = await this.fetchOnce();
      this.#delay = changed ? FIRST_MS : Math.min(this.#delay * 1.5, QUIET_MS);
      this.report(null);
    } catch (error) {
      if (!(error instanceof ApiError)) reportError(error);
      this.#delay = Math.min(this.#delay * 2, ERROR_MS);
      this.report(error);
    }
    this.#busy = false;
    if (this.#again) {
      this.#again = false;
      this.#turn();
    } else if (this.#running) {
      // Spread over time, so that many open tabs do not ask in step.
      this.#timer = setTimeout(() => this.#turn(), this.#delay * (0.9 + Math.random() * 0.2));
    }
  }
}
