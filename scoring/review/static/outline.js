// An island's outline along the borders of its pixels, so that no counted pixel is hidden.

export function contains(island, row, column) {
  const { runs } = island;
  for (let i = 0; i < runs.length; i += 3) {
    if (runs[i] === row && runs[i + 1] <= column && column <= runs[i + 2]) return true;
  }
  return false;
}

export function box(island) {
  const { runs } = island;
  let [top, bottom, left, right] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < runs.length; i += 3) {
    top = Math.min(top, runs[i]); bottom = Math.max(bottom, runs[i]);
    left = Math.min(left, runs[i + 1]); right = Math.max(right, runs[i + 2]);
  }
  return { top, bottom, left, right };
}

// The parts of [first, last] that no run of another row covers.
function open(first, last, others) {
  const parts = [];
  let from = first;
  for (const [start, stop] of others) {
    if (stop < from || start > last) continue;
    if (start > from) parts.push([from, start - 1]);
    from = Math.max(from, stop + 1);
  }
  if (from <= last) parts.push([from, last]);
  return parts;
}

export function outline(island) {
  const rows = new Map();
  for (let i = 0; i < island.runs.length; i += 3) {
    const row = island.runs[i];
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push([island.runs[i + 1], island.runs[i + 2]]);
  }
  const path = new Path2D();
  for (const [row, runs] of rows) {
    for (const [first, last] of runs) {
      path.moveTo(first, row); path.lineTo(first, row + 1);
      path.moveTo(last + 1, row); path.lineTo(last + 1, row + 1);
      for (const [a, b] of open(first, last, rows.get(row - 1) ?? [])) { path.moveTo(a, row); path.lineTo(b + 1, row); }
      for (const [a, b] of open(first, last, rows.get(row + 1) ?? [])) { path.moveTo(a, row + 1); path.lineTo(b + 1, row + 1); }
    }
  }
  return path;
}
