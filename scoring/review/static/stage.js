// The big image: a slice, its outlines, and what hand and wheel do to it. It draws once per frame, and only if needed.

import { box, contains, outline } from "./outline.js";

const MOST_ZOOM = 40;
const CLICK_PX = 4; // a hand that moved less has clicked
const WHEEL_PX = 60; // of a trackpad, for one slice

export class Stage {
  // `look` is what is shown; `on` is told of: select(place), slice(), cut(points), window().
  constructor(canvas, look, on) {
    Object.assign(this, { canvas, look, on });
    this.context = canvas.getContext("2d", { alpha: false });
    this.slices = null;
    this.islands = [];
    this.lesions = [];
    this.view = { zoom: 1, row: 0, column: 0 };
    this.line = null;
    this.frames = 0;
    this.dirty = false;
    this.wheel = 0;
    this.resize();
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => { this.hand = null; this.line = null; this.draw(); });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.turn(event), { passive: false });
  }

  open(slices) {
    this.slices = slices;
    this.fit();
  }

  show(lesions, islands) {
    if (islands !== this.islands) {
      this.islands = islands;
      this.paths = new Map();
      this.bySlice = new Map();
      islands.forEach((island, place) => {
        const at = island.first[0];
        this.bySlice.set(at, [...(this.bySlice.get(at) ?? []), place]);
      });
    }
    this.lesions = lesions;
    this.lesionOf = new Map(lesions.flatMap((lesion) => lesion.islands.map((place) => [place, lesion])));
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.wide = this.canvas.clientWidth; // read here alone: asking at each frame would lay the page out anew
    this.high = this.canvas.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.wide * ratio));
    this.canvas.height = Math.max(1, Math.round(this.high * ratio));
    this.ratio = ratio;
    this.draw();
  }

  // CSS pixels of one image column and one image row.
  scale() {
    const { rows, columns, row_mm, column_mm } = this.slices.facts;
    const tall = row_mm / column_mm;
    const fit = Math.min(this.wide / columns, this.high / (rows * tall));
    return { x: fit * this.view.zoom, y: fit * this.view.zoom * tall };
  }

  toImage(x, y) {
    const scale = this.scale();
    return {
      column: this.view.column + (x - this.wide / 2) / scale.x,
      row: this.view.row + (y - this.high / 2) / scale.y,
    };
  }

  toStage(row, column) {
    const scale = this.scale();
    return {
      x: this.wide / 2 + (column - this.view.column) * scale.x,
      y: this.high / 2 + (row - this.view.row) * scale.y,
    };
  }

  fit() {
    const { rows, columns } = this.slices.facts;
    this.view = { zoom: 1, row: rows / 2, column: columns / 2 };
    this.draw();
  }

  zoom(factor, at = null) {
    const before = at && this.toImage(at.x, at.y);
    this.view.zoom = Math.max(0.5, Math.min(MOST_ZOOM, this.view.zoom * factor));
    if (before) {
      const after = this.toImage(at.x, at.y);
      this.view.row += before.row - after.row;
      this.view.column += before.column - after.column;
    }
    this.draw();
  }

  // Bring an island into the middle; as large as asked, or leave the zoom.
  centre(island, zoom = null) {
    const { top, bottom, left, right } = box(island);
    if (zoom !== null) this.view.zoom = zoom;
    this.view.row = (top + bottom + 1) / 2;
    this.view.column = (left + right + 1) / 2;
    this.draw();
  }

  // Whether an island can be seen without moving the image.
  sees(island) {
    const { top, bottom, left, right } = box(island);
    const [a, b] = [this.toStage(top, left), this.toStage(bottom + 1, right + 1)];
    return a.x > 10 && a.y > 10 && b.x < this.wide - 10 && b.y < this.high - 10;
  }

  draw() {
    if (this.dirty || !this.slices) return;
    this.dirty = true;
    requestAnimationFrame(() => { this.dirty = false; this.paint(); });
  }

  paint() {
    const { context: g, canvas, look, ratio } = this;
    const { rows, columns } = this.slices.facts;
    const scale = this.scale();
    const origin = this.toStage(0, 0);
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.fillStyle = "#000";
    g.fillRect(0, 0, canvas.width, canvas.height);
    g.setTransform(ratio * scale.x, 0, 0, ratio * scale.y, ratio * origin.x, ratio * origin.y);
    g.imageSmoothingEnabled = !look.cutting;
    g.drawImage(this.slices.picture(look.slice, look.centre, look.width), 0, 0, columns, rows);
    const here = this.bySlice?.get(look.slice) ?? [];
    for (const place of here) this.paintOutline(place, scale);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paintNames(here);
    if (this.line) this.paintLine();
    this.frames += 1;
  }

  paintOutline(place, scale) {
    const { context: g, look } = this;
    const lesion = this.lesionOf.get(place);
    if (!lesion) return;
    if (!this.paths.has(place)) this.paths.set(place, outline(this.islands[place]));
    const mine = lesion === look.lesion;
    const chosen = mine && (!look.single || place === look.island);
    const passed = lesion.vessel === null && lesion.decided;
    const stroke = (colour, px) => { g.strokeStyle = colour; g.lineWidth = px / scale.x; g.stroke(this.paths.get(place)); };
    g.setLineDash(passed && !chosen ? [3 / scale.x, 3 / scale.x] : []);
    if (chosen) stroke("#fff", 5);
    stroke(passed ? "#95a5b4" : look.colours[lesion.vessel ?? ""], chosen ? 2.5 : 1.5);
    g.setLineDash([]);
  }

  // The letters at the outline: a colour never speaks alone.
  paintNames(here) {
    const { context: g, look } = this;
    g.font = "600 14px Inter, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";
    g.textBaseline = "middle";
    const largest = new Map();
    for (const place of here) {
      const lesion = this.lesionOf.get(place);
      if (lesion && !(largest.has(lesion) && this.islands[largest.get(lesion)].area_mm2 >= this.islands[place].area_mm2)) {
        largest.set(lesion, place);
      }
    }
    for (const [lesion, place] of largest) {
      const { top, bottom, left, right } = box(this.islands[place]);
      const near = this.toStage(top, left), far = this.toStage(bottom + 1, right + 1);
      if (far.x < 0 || far.y < 0 || near.x > this.wide || near.y > this.high) continue;
      const at = this.toStage(top, right + 1);
      const name = `${lesion.number} ${lesion.vessel ?? (lesion.decided ? "–" : "?")}`;
      const wide = g.measureText(name).width + 10;
      const mine = lesion === look.lesion;
      const x = Math.max(2, Math.min(at.x + 6, this.wide - wide - 2)), y = Math.max(12, at.y - 4);
      g.fillStyle = mine ? "#ffffffe6" : "#000000b0";
      g.fillRect(x, y - 10, wide, 20);
      const colour = lesion.vessel === null && lesion.decided ? "#95a5b4" : look.colours[lesion.vessel ?? ""];
      g.fillStyle = mine ? "#0d1218" : colour;
      g.fillText(name, x + 5, y + 1);
    }
  }

  paintLine() {
    const g = this.context;
    g.strokeStyle = "#fff";
    g.lineWidth = 2;
    g.beginPath();
    for (const [row, column] of this.line) {
      const at = this.toStage(row + 0.5, column + 0.5);
      g.lineTo(at.x, at.y);
    }
    g.stroke();
  }

  press(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const windowing = event.button === 2 || event.shiftKey;
    const kind = windowing ? "window" : event.button === 0 && this.look.cutting ? "cut" : "pan";
    this.hand = { kind, x: event.offsetX, y: event.offsetY, moved: 0, button: event.button };
    if (kind === "cut") { this.line = [this.pixel(event)]; this.draw(); }
  }

  pixel(event) {
    const { rows, columns } = this.slices.facts;
    const { row, column } = this.toImage(event.offsetX, event.offsetY);
    return [Math.max(0, Math.min(rows - 1, Math.floor(row))), Math.max(0, Math.min(columns - 1, Math.floor(column)))];
  }

  move(event) {
    if (!this.slices) return;
    const at = this.toImage(event.offsetX, event.offsetY);
    this.on.point(Math.floor(at.row), Math.floor(at.column));
    const { hand, look } = this;
    if (!hand) return;
    const dx = event.offsetX - hand.x, dy = event.offsetY - hand.y;
    hand.moved += Math.abs(dx) + Math.abs(dy);
    Object.assign(hand, { x: event.offsetX, y: event.offsetY });
    if (hand.kind === "cut") {
      const next = this.pixel(event), last = this.line.at(-1);
      if (next[0] !== last[0] || next[1] !== last[1]) this.line.push(next);
    } else if (hand.moved >= CLICK_PX && hand.kind === "window") {
      look.width = Math.max(20, Math.min(4000, look.width + 2 * dx));
      look.centre = Math.max(-1000, Math.min(3000, look.centre - dy));
      this.on.window();
    } else if (hand.moved >= CLICK_PX) {
      const scale = this.scale();
      this.view.column -= dx / scale.x;
      this.view.row -= dy / scale.y;
    }
    this.draw();
  }

  release(event) {
    const { hand, line } = this;
    this.hand = null;
    this.line = null;
    if (!hand) return;
    if (hand.kind === "cut") this.on.cut(line);
    else if (hand.moved < CLICK_PX && hand.button === 0) this.on.select(this.hit(event.offsetX, event.offsetY));
    this.draw();
  }

  // The island under a click, or the nearest one that a hand can have meant.
  hit(x, y) {
    const { row, column } = this.toImage(x, y);
    const here = this.bySlice.get(this.look.slice) ?? [];
    const inside = here.find((place) => contains(this.islands[place], Math.floor(row), Math.floor(column)));
    if (inside !== undefined) return inside;
    let best = null, least = 12;
    for (const place of here) {
      const { top, bottom, left, right } = box(this.islands[place]);
      const a = this.toStage(top, left), b = this.toStage(bottom + 1, right + 1);
      const far = Math.hypot(Math.max(a.x - x, 0, x - b.x), Math.max(a.y - y, 0, y - b.y));
      if (far < least) { least = far; best = place; }
    }
    return best;
  }

  turn(event) {
    event.preventDefault();
    if (!this.slices) return;
    if (event.ctrlKey) {
      this.zoom(Math.exp(-event.deltaY / 300), { x: event.offsetX, y: event.offsetY });
      return;
    }
    this.wheel += event.deltaY;
    const steps = Math.abs(event.deltaY) >= WHEEL_PX ? Math.sign(event.deltaY) : Math.trunc(this.wheel / WHEEL_PX);
    if (steps) { this.wheel = 0; this.on.slice(this.look.slice - steps); }
  }
}
