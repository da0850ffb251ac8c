// The strip: an erase-bar sweep on one canvas. Everything is painted by `paint(from, to)`, which draws whatever belongs
// to an interval of gate time. A frame paints from the last head to a second ahead of the new one (the erase bar, where
// the windows to come are seen before they come); a change of a band or mark paints only its own interval.

import { bandStyle, drawBand, drawGrid, drawMark, drawPulse, drawRMark, palette } from "./ink.js";

const AHEAD_MS = 1200; // erase bar: wide enough for the window that is planned within this beat
const AHEAD_SHARE = 0.3; // of the sweep, at most
const ZERO_AT = 0.62; // where 0 mV lies in its lane
const BACK_MS = 150;
const MAX_DELAY_MS = 600; // the head never waits longer for its samples
const LABEL_MS_PX = 70; // half a label, in CSS pixels: how far a band or mark reaches beyond itself

export class Sweep {
  constructor(canvas, traces) {
    this.canvas = canvas;
    this.traces = traces;
    this.context = canvas.getContext("2d", { alpha: false });
    this.bands = new Map();
    this.marks = new Map();
    this.stamps = new Map();
    this.settings = { pxPerMm: 96 / 25.4, speed: 25, gain: null, main: null }; // gain null: by itself
    this.head = null; // gate time up to which the trace is drawn
    this.delay = 120; // ms that the head stays behind now, so that it moves evenly
    this.grey = false;
    this.notes = {}; // lead -> why it is not trusted
    this.dirty = true;
  }

  // --- geometry, in device pixels ---

  resize() {
    const box = this.canvas.getBoundingClientRect();
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = Math.max(64, Math.round(box.width * this.ratio));
    this.height = Math.max(64, Math.round(box.height * this.ratio));
    if (this.canvas.width !== this.width || this.canvas.height !== this.height) {
      this.canvas.width = this.width;
      this.canvas.height = this.height;
    }
    this.layout();
  }

  layout() {
    if (!this.width) return;
    this.mm = this.settings.pxPerMm * this.ratio;
    this.perMs = (this.mm * this.settings.speed) / 1000;
    this.margin = Math.round(Math.min(12 * this.mm, this.width * 0.14));
    this.span = this.width - this.margin;
    this.sweepMs = this.span / this.perMs;
    this.ahead = Math.min(AHEAD_MS, AHEAD_SHARE * this.sweepMs);
    this.fontPx = Math.round(Math.max(12, Math.min(20, this.height / this.ratio / 26)) * this.ratio);
    this.lanes = this.placeLanes();
    this.makeGround();
    this.dirty = true;
  }

  placeLanes() {
    const names = this.traces.names;
    const main = names.includes(this.settings.main) ? this.settings.main : names[0];
    const others = names.filter((name) => name !== main).slice(0, 2);
    const share = others.length ? 0.6 : 1;
    this.gain = this.settings.gain ?? this.ownGain(share * this.height);
    const lanes = main === undefined ? [] : [{ name: main, top: 0, height: share * this.height, gain: this.gain }];
    others.forEach((name, i) => {
      const height = ((1 - share) * this.height) / others.length;
      lanes.push({ name, top: share * this.height + i * height, height, gain: this.gain / 2 });
    });
    for (const lane of lanes) {
      lane.index = names.indexOf(lane.name);
      lane.zero = lane.top + ZERO_AT * lane.height;
      lane.perUv = (lane.gain * this.mm) / 1000;
    }
    return lanes;
  }

  // 10 mm/mV, or twice that where the strip is high enough for 1.5 mV: a wall is read from three metres.
  ownGain(laneHeight) {
    return ZERO_AT * laneHeight - 3 * this.fontPx > 1.5 * 20 * this.mm ? 20 : 10;
  }

  makeGround() {
    this.ground = document.createElement("canvas");
    this.ground.width = this.width;
    this.ground.height = this.height;
    drawGrid(this.ground.getContext("2d"), this);
  }

  set(changes) {
    Object.assign(this.settings, changes);
    this.layout();
  }

  setGrey(grey) {
    if (grey === this.grey) return;
    this.grey = grey;
    this.dirty = true;
  }

  setNotes(notes) {
    const text = JSON.stringify(notes);
    if (text === this.notesText) return;
    this.notesText = text;
    this.notes = notes;
    this.dirty = true;
  }

  // --- what comes in ---

  // Learns how far behind the samples come; called before the traces take a frame.
  expect(gateNow) {
    const newest = this.traces.newest;
    if (newest === null) return;
    const behind = Math.min(MAX_DELAY_MS, gateNow - newest);
    this.delay += behind > this.delay ? behind - this.delay : 0.02 * (behind - this.delay);
  }

  show(state) {
    this.follow(this.bands, state.bands, (b) => b.key, (b) => [b.opens_ms, Math.max(b.closes_ms, b.next_r_ms ?? 0)]);
    this.follow(this.marks, state.beats, (b) => b.number, (b) => [b.r_ms, b.r_ms]);
    this.follow(this.stamps, state.marks_ms.map((ms) => ({ ms })), (s) => s.ms, (s) => [s.ms, s.ms]);
  }

  // Takes the new things, and paints the places where one came, changed or went.
  follow(known, things, keyOf, spanOf) {
    const now = new Map(things.map((thing) => [keyOf(thing), { thing, text: JSON.stringify(thing) }]));
    const touched = [];
    for (const [key, entry] of now) {
      const old = known.get(key);
      if (old?.text === entry.text) continue;
      touched.push(spanOf(entry.thing));
      if (old) touched.push(spanOf(old.thing));
    }
    for (const [key, old] of known) if (!now.has(key)) touched.push(spanOf(old.thing));
    known.clear();
    for (const [key, entry] of now) known.set(key, entry);
    for (const [from, to] of touched) this.repaint(from, to);
  }

  get labelMs() {
    return (LABEL_MS_PX * this.ratio) / this.perMs;
  }

  repaint(from, to) {
    if (this.head === null || this.dirty) return;
    const end = this.head + this.ahead;
    const a = Math.max(from - this.labelMs, end - this.sweepMs);
    const b = Math.min(to + this.labelMs, end);
    if (a < b) this.paint(a, b);
  }

  // --- one animation frame ---

  step(gateNow) {
    if (!this.width) return;
    const newest = this.traces.newest;
    if (newest === null) {
      if (this.dirty) this.paintEmpty();
      return;
    }
    if (!this.lanes.length || this.lanes.some((lane) => this.traces.names[lane.index] !== lane.name)) this.layout();
    const before = this.head;
    const wanted = Math.min(newest, gateNow - this.delay);
    if (before === null || wanted < before - 2000 || wanted > before + this.sweepMs) {
      this.head = wanted;
      this.dirty = true;
    } else {
      this.head = Math.max(before, wanted);
    }
    const end = this.head + this.ahead;
    if (this.dirty) {
      this.dirty = false;
      this.paintMargin();
      this.paint(end - this.sweepMs, end);
    } else if (this.head > before) {
      this.paint(before - BACK_MS, end); // so far back that a fresh R mark gets its final place
    }
  }

  paintEmpty() {
    this.dirty = false;
    this.context.drawImage(this.ground, 0, 0);
  }

  paintMargin() {
    const g = this.context;
    g.drawImage(this.ground, 0, 0, this.margin, this.height, 0, 0, this.margin, this.height);
    for (const lane of this.lanes) drawPulse(g, this, lane, this.notes[lane.name]);
  }

  paint(from, to) {
    let at = Math.floor(from * this.perMs);
    const end = Math.min(Math.ceil(to * this.perMs), at + this.span);
    while (at < end) {
      const base = Math.floor(at / this.span) * this.span;
      const stop = Math.min(end, base + this.span);
      this.paintSpan(at - base, stop - base, base);
      at = stop;
    }
  }

  // Pixels [a, b) right of the margin; `base` is the time of the sweep's left edge, in pixels.
  paintSpan(a, b, base) {
    const g = this.context;
    const x = this.margin + a;
    g.save();
    g.beginPath();
    g.rect(x, 0, b - a, this.height);
    g.clip();
    g.drawImage(this.ground, x, 0, b - a, this.height, x, 0, b - a, this.height);
    const from = (base + a) / this.perMs;
    const to = (base + b) / this.perMs;
    const pad = this.labelMs;
    const place = (ms) => this.margin + ms * this.perMs - base;
    for (const { thing } of this.bands.values()) {
      if (thing.closes_ms > from - pad && thing.opens_ms < to + pad) drawBand(g, this, thing, place, bandStyle(thing, this.grey));
    }
    for (const lane of this.lanes) this.paintTrace(lane, from, to, place);
    for (const { thing } of this.marks.values()) {
      if (thing.r_ms > from - pad && thing.r_ms < to + pad && thing.r_ms <= this.head) {
        const peak = this.peakY(thing.r_ms);
        if (peak !== null) drawRMark(g, this, thing, place, peak);
      }
    }
    for (const { thing } of this.stamps.values()) {
      if (thing.ms > from - pad && thing.ms < to + pad) drawMark(g, this, thing, place);
    }
    const headX = place(this.head);
    if (headX > x - 4 && headX < x + b - a + 4) {
      g.fillStyle = palette(this.grey).head;
      g.fillRect(Math.round(headX), 0, Math.max(1, Math.round(1.5 * this.ratio)), this.height);
    }
    g.restore();
  }

  paintTrace(lane, from, to, place) {
    const traces = this.traces;
    const first = Math.max(traces.from(from - 20) - 1, traces.from(-Infinity));
    const last = traces.from(Math.min(to + 20, this.head));
    const values = traces.values[lane.index];
    const low = lane.top + 2;
    const high = lane.top + lane.height - 2;
    const bit = 1 << lane.index;
    for (const bad of [0, bit]) {
      this.context.beginPath();
      let drawing = false;
      for (let n = first; n < last; n++) {
        const slot = traces.slot(n);
        const value = values[slot];
        if (Number.isNaN(value) || (traces.bad[slot] & bit) !== bad) {
          drawing = false;
          continue;
        }
        const x = place(traces.time[slot]);
        const y = Math.min(high, Math.max(low, lane.zero - value * lane.perUv));
        if (drawing) this.context.lineTo(x, y);
        else this.context.moveTo(x, y);
        drawing = true;
      }
      const ink = palette(this.grey);
      this.context.strokeStyle = bad ? ink.badTrace : lane.top === 0 ? ink.trace : ink.smallTrace;
      this.context.lineWidth = (bad ? 1 : lane.top === 0 ? 2 : 1.5) * this.ratio;
      this.context.lineJoin = "round";
      this.context.stroke();
    }
  }

  // Height of the main lead's highest point near a time: where its R mark goes; null where there is no trace.
  peakY(ms) {
    const lane = this.lanes[0];
    let top = null;
    const last = this.traces.from(ms + 30);
    for (let n = this.traces.from(ms - 30); n < last; n++) {
      const value = this.traces.values[lane.index][this.traces.slot(n)];
      if (!Number.isNaN(value)) top = Math.min(top ?? Infinity, lane.zero - value * lane.perUv);
    }
    return top === null ? null : Math.max(top, lane.top + 3.2 * this.fontPx);
  }
}
