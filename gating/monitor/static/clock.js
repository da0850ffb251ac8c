// The gate's clock as this page knows it: gate milliseconds = page milliseconds + offset.
// Every message carries the gate's now; the one that travelled fastest tells the offset best, so the largest
// (gate - page) of the last minute is kept. Two halves of the window make the drift of two clocks harmless.

const HALF_WINDOW_MS = 30_000;

export class GateClock {
  constructor() {
    this.reset();
  }

  reset() {
    this.newer = -Infinity;
    this.older = -Infinity;
    this.turnAt = -Infinity;
  }

  get known() {
    return this.newer > -Infinity;
  }

  hear(gateMs, pageMs) {
    if (pageMs > this.turnAt) {
      this.older = this.newer;
      this.newer = -Infinity;
      this.turnAt = pageMs + HALF_WINDOW_MS;
    }
    this.newer = Math.max(this.newer, gateMs - pageMs);
  }

  at(pageMs) {
    return pageMs + Math.max(this.newer, this.older);
  }
}
