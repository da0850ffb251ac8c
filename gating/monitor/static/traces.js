// The samples that the strip shows: one ring for all leads, newest last. See gating/monitor/strip.py for the frames.

const CAPACITY = 32_768; // samples: 65 s at 500 Hz, more than the widest sweep
const HIGH_PASS_HZ = 0.5; // takes out electrode offset and wander, as bedside monitors do; for the eye only
const text = new TextDecoder();

export function decodeStrip(buffer) {
  const view = new DataView(buffer);
  const leads = view.getUint8(1);
  const nameBytes = view.getUint8(3);
  const count = view.getUint16(4, true);
  const names = text.decode(new Uint8Array(buffer, 32, nameBytes)).trimEnd().split(",");
  const values = [];
  for (let lead = 0; lead < leads; lead++) {
    values.push(new Float32Array(buffer, 32 + nameBytes + 4 * count * lead, count));
  }
  return {
    names,
    values,
    count,
    untrusted: view.getUint8(2),
    sequence: view.getUint32(8, true),
    rate: view.getFloat32(12, true),
    first: view.getFloat64(16, true),
    now: view.getFloat64(24, true),
  };
}

export class Traces {
  constructor() {
    this.names = [];
    this.clear();
  }

  clear() {
    this.total = 0; // samples ever taken; sample n lies at n % CAPACITY
    this.time = new Float64Array(CAPACITY);
    this.values = this.names.map(() => new Float32Array(CAPACITY));
    this.bad = new Uint8Array(CAPACITY); // one bit per lead
    this.last = this.names.map(() => null); // input and output of the high-pass
  }

  get newest() {
    return this.total ? this.time[(this.total - 1) % CAPACITY] : null;
  }

  // Returns false for a frame that is older than what is here.
  add(frame) {
    if (frame.names.join() !== this.names.join()) {
      this.names = frame.names;
      this.clear();
    }
    const period = 1000 / frame.rate;
    const newest = this.newest;
    if (newest !== null && frame.first < newest - 2000) {
      this.clear(); // another clock: the gate was started anew
    } else if (newest !== null && frame.first < newest - 0.5 * period) {
      return false;
    }
    const gap = this.newest !== null && frame.first > this.newest + 2.5 * period;
    if (gap) {
      this.push(this.newest + period, frame.names.map(() => NaN), frame.untrusted);
      this.last = this.names.map(() => null);
    }
    const keep = 1 / (1 + (2 * Math.PI * HIGH_PASS_HZ) / frame.rate);
    for (let i = 0; i < frame.count; i++) {
      const out = frame.values.map((lead, k) => {
        const before = this.last[k] ?? { x: lead[i], y: 0 };
        const y = keep * (before.y + lead[i] - before.x);
        this.last[k] = { x: lead[i], y };
        return y;
      });
      this.push(frame.first + i * period, out, frame.untrusted);
    }
    return true;
  }

  push(time, values, bad) {
    const at = this.total % CAPACITY;
    this.time[at] = time;
    this.bad[at] = bad;
    values.forEach((value, k) => (this.values[k][at] = value));
    this.total += 1;
  }

  // Number of the first sample at or after a time.
  from(time) {
    let low = Math.max(0, this.total - CAPACITY);
    let high = this.total;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time[middle % CAPACITY] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  slot(number) {
    return number % CAPACITY;
  }
}
