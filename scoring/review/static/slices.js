// The slices as grey images: one table from HU to grey, one image that is drawn only when slice or window change.

export const PRESETS = [
  { name: "Mediastinum", centre: 50, width: 350 },
  { name: "Calcium", centre: 250, width: 700 },
  { name: "Bone", centre: 400, width: 1800 },
  { name: "Lung", centre: -550, width: 1500 },
];

export class Slices {
  constructor(facts, data) {
    this.facts = facts;
    this.hu = new Int16Array(data);
    this.image = new OffscreenCanvas(facts.columns, facts.rows);
    this.context = this.image.getContext("2d", { alpha: false });
    this.pixels = this.context.createImageData(facts.columns, facts.rows);
    this.words = new Uint32Array(this.pixels.data.buffer);
    this.greys = new Uint32Array(65536);
    this.shown = "";
  }

  at(slice, row, column) {
    const { rows, columns } = this.facts;
    if (row < 0 || column < 0 || row >= rows || column >= columns) return null;
    return this.hu[(slice * rows + row) * columns + column];
  }

  // Little-endian words of red, green, blue, alpha.
  tabulate(centre, width) {
    const low = centre - width / 2;
    for (let i = 0; i < 65536; i += 1) {
      const grey = Math.max(0, Math.min(255, Math.round(((i - 32768 - low) / width) * 255)));
      this.greys[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }

  picture(slice, centre, width) {
    const window = `${centre} ${width}`;
    const wanted = `${slice} ${window}`;
    if (wanted === this.shown) return this.image;
    if (window !== this.window) { this.tabulate(centre, width); this.window = window; }
    const { rows, columns } = this.facts;
    const { words, greys, hu } = this;
    const count = rows * columns;
    for (let i = 0, from = slice * count; i < count; i += 1) words[i] = greys[hu[from + i] + 32768];
    this.context.putImageData(this.pixels, 0, 0);
    this.shown = wanted;
    return this.image;
  }
}
