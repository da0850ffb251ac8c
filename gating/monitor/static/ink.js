// How things are drawn on the strip: grid, calibration pulse, bands, marks. Shape and word first, colour second.

const LIVE = {
  ground: "#0a0f14", fine: "#111a22", coarse: "#1c2934", trace: "#8fe3b4", smallTrace: "#6fae90", badTrace: "#8a6c55",
  head: "#50616f", text: "#c3ced8", dim: "#8fa0af", mark: "#d9b8ff", r: "#dfe7ee", odd: "#ffb867",
};
const GREY = {
  ground: "#0d0e10", fine: "#141618", coarse: "#1d2023", trace: "#5d6267", smallTrace: "#4d5256", badTrace: "#4d5256",
  head: "#3a3e42", text: "#8b9094", dim: "#7b8084", mark: "#7b8084", r: "#7b8084", odd: "#7b8084",
};

const BANDS = {
  planned: { line: "#7fb4ff", fill: "#7fb4ff1f", dash: true, word: "planned" },
  booked: { line: "#7fb4ff", fill: "#4b8dff66", word: "booked" },
  fired: { line: "#f5d76e", fill: "#f5d76e5c", solid: true, word: "fired" },
  cut: { line: "#ff9e57", fill: "#ff9e5744", solid: true, hatch: true, word: "cut" },
  redo: { line: "#ff9e57", fill: "#ff9e5744", solid: true, hatch: true, word: "redo" },
  held: { line: "#a9b6c2", fill: "#a9b6c21c", hatch: true, word: "held" },
  missed: { line: "#ff8a80", fill: "#ff8a801f", cross: true, word: "missed" },
  unreported: { line: "#a9b6c2", fill: "#a9b6c21c", dash: true, word: "no report" },
};

export function palette(grey) {
  return grey ? GREY : LIVE;
}

export function bandStyle(band, grey) {
  const style = BANDS[band.state];
  return grey ? { ...style, line: "#6b7074", fill: "#6b707422" } : style;
}

export function drawGrid(g, strip) {
  const { width, height, mm, margin, ratio } = strip;
  g.fillStyle = LIVE.ground;
  g.fillRect(0, 0, width, height);
  const line = Math.max(1, Math.round(ratio));
  const minor = mm / ratio >= 3;
  for (let i = 0; i * mm < Math.max(width, height); i++) {
    if (i % 5 && !minor) continue;
    g.fillStyle = i % 5 ? LIVE.fine : LIVE.coarse;
    if (margin + i * mm < width) g.fillRect(Math.round(margin + i * mm), 0, line, height);
    if (i * mm < height) g.fillRect(margin, Math.round(i * mm), width - margin, line);
  }
}

// Lead name and the 1 mV pulse, in the margin left of the sweep.
export function drawPulse(g, strip, lane, note) {
  const ink = palette(strip.grey);
  const { margin, ratio, fontPx } = strip;
  const pulse = 1000 * lane.perUv;
  const foot = Math.min(lane.zero, lane.top + lane.height - 4 * ratio);
  const left = margin - 0.45 * margin;
  g.strokeStyle = note ? "transparent" : ink.dim; // a lead that is not trusted has no scale, but a reason
  g.lineWidth = 1.5 * ratio;
  g.beginPath();
  g.moveTo(left - 0.1 * margin, foot);
  g.lineTo(left, foot);
  g.lineTo(left, foot - pulse);
  g.lineTo(left + 0.25 * margin, foot - pulse);
  g.lineTo(left + 0.25 * margin, foot);
  g.lineTo(left + 0.35 * margin, foot);
  g.stroke();
  const size = lane.top === 0 ? Math.round(1.5 * fontPx) : fontPx;
  g.textBaseline = "alphabetic";
  g.textAlign = "left";
  g.fillStyle = note ? ink.odd : ink.text;
  g.font = `600 ${size}px ${FONT}`;
  g.fillText((note ? "! " : "") + lane.name, 6 * ratio, lane.top + size + 4 * ratio);
  if (!note) return;
  g.font = `${fontPx}px ${FONT}`;
  const noteSize = Math.min(0.8 * fontPx, (fontPx * (margin - 8 * ratio)) / g.measureText(note).width);
  if (noteSize < 11 * ratio) return; // too long for the margin: the banner says it
  g.font = `${noteSize}px ${FONT}`;
  g.fillText(note, 6 * ratio, lane.top + size + 1.3 * fontPx);
}

const FONT = "Inter, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";

export function drawBand(g, strip, band, place, style) {
  const { ratio, fontPx } = strip;
  const lane = strip.lanes[0];
  if (!lane) return;
  const x = place(band.opens_ms);
  const width = Math.max(3 * ratio, place(band.closes_ms) - x);
  const top = lane.top + 2.5 * fontPx;
  const height = lane.top + lane.height - 4 * ratio - top;
  g.fillStyle = style.fill;
  g.fillRect(x, top, width, height);
  if (style.hatch) hatch(g, strip, x, top, width, height, style.line);
  g.strokeStyle = style.line;
  g.lineWidth = 1.5 * ratio;
  g.setLineDash(style.dash ? [4 * ratio, 4 * ratio] : []);
  g.strokeRect(x, top, width, height);
  g.setLineDash([]);
  if (style.solid) {
    g.fillStyle = style.line;
    g.fillRect(x, top - 5 * ratio, width, 5 * ratio);
  }
  if (style.cross) {
    g.beginPath();
    g.moveTo(x, top);
    g.lineTo(x + width, top + height);
    g.moveTo(x + width, top);
    g.lineTo(x, top + height);
    g.stroke();
  }
  const middle = x + width / 2;
  g.textAlign = "center";
  g.textBaseline = "alphabetic";
  g.fillStyle = style.line;
  g.font = `600 ${fontPx}px ${FONT}`;
  g.fillText(style.word, middle, lane.top + 1.1 * fontPx);
  g.font = `${Math.round(0.85 * fontPx)}px ${FONT}`;
  g.fillText(`step ${band.step + 1}`, middle, lane.top + 2.05 * fontPx);
}

function hatch(g, strip, x, top, width, height, colour) {
  const step = 7 * strip.ratio;
  g.save();
  g.beginPath();
  g.rect(x, top, width, height);
  g.clip();
  g.strokeStyle = colour;
  g.globalAlpha = 0.55;
  g.lineWidth = strip.ratio;
  g.beginPath();
  for (let y = top - width; y < top + height; y += step) {
    g.moveTo(x, y + width);
    g.lineTo(x + width, y);
  }
  g.stroke();
  g.restore();
}

// An R-peak: a triangle over the peak, hollow while provisional; premature and ventricular ones carry a letter.
export function drawRMark(g, strip, beat, place, peakY) {
  const { ratio, fontPx } = strip;
  const ink = palette(strip.grey);
  const x = place(beat.r_ms);
  const half = 5.5 * ratio;
  const tip = peakY - 4 * ratio;
  const odd = ["premature", "ventricular", "artifact"].includes(beat.beat_kind);
  g.fillStyle = g.strokeStyle = odd ? ink.odd : ink.r;
  g.lineWidth = 1.5 * ratio;
  g.beginPath();
  g.moveTo(x, tip);
  g.lineTo(x - half, tip - 1.7 * half);
  g.lineTo(x + half, tip - 1.7 * half);
  g.closePath();
  if (beat.stage === "confirmed") g.fill();
  else g.stroke();
  if (odd) {
    g.font = `700 ${fontPx}px ${FONT}`;
    g.textAlign = "left";
    g.textBaseline = "alphabetic";
    g.fillText({ premature: "P", ventricular: "V", artifact: "A" }[beat.beat_kind], x + 1.5 * half, tip);
  }
}

// A person's mark: a dotted line with an M.
export function drawMark(g, strip, stamp, place) {
  const { ratio, fontPx, height } = strip;
  const x = place(stamp.ms);
  g.strokeStyle = g.fillStyle = palette(strip.grey).mark;
  g.lineWidth = 1.5 * ratio;
  g.setLineDash([2 * ratio, 4 * ratio]);
  g.beginPath();
  g.moveTo(x, 0);
  g.lineTo(x, height);
  g.stroke();
  g.setLineDash([]);
  g.font = `700 ${fontPx}px ${FONT}`;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillText("M", x + 4 * ratio, height - 6 * ratio);
}
