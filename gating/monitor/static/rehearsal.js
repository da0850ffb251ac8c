// Before the scan: the coach that breathes with the patient, what a rehearsal told, and the checklist beside it.

const $ = (id) => document.getElementById(id);
const BREATHE_IN_MS = 3000; // a calm breath, before the hold begins
const BREATHE_MS = 5000; // how long "breathe" stands after a hold
const WORDS = { go: "GO", wait: "WAIT", change: "CHANGE", "no-go": "NO-GO" };

let inhaleSince = null; // page clock; null: not counting down to a rehearsal
let endedAt = null; // page clock of the end of the last hold seen
let wasHolding = false;

function put(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

// Begins with a breath; the request goes out when the patient holds it. Asked while it runs: ends it early.
export function startRehearsal(state, send) {
  if (inhaleSince !== null) return;
  if (state?.rehearsal?.running_until_ns) {
    send();
    return;
  }
  inhaleSince = performance.now();
  setTimeout(() => {
    inhaleSince = null;
    send();
  }, BREATHE_IN_MS);
}

// What the patient should do now; null: nothing.
function coached(state, gateNow, now) {
  if (inhaleSince !== null) {
    return { word: "Breathe in", detail: `and hold in ${Math.ceil((BREATHE_IN_MS - (now - inhaleSince)) / 1000)}` };
  }
  const until = state?.rehearsal?.running_until_ns;
  const hold = state?.hold && state.hold.ended_ms === null ? state.hold : null;
  const endsMs = hold ? hold.began_ms + 1000 * hold.limit_s : until ? until / 1e6 : null;
  const holding = endsMs !== null && gateNow < endsMs;
  if (wasHolding && !holding) endedAt = now;
  wasHolding = holding;
  if (holding) return { word: "Hold your breath", detail: `${Math.ceil((endsMs - gateNow) / 1000)} s left${hold ? "" : ", rehearsal"}` };
  if (endedAt !== null && now - endedAt < BREATHE_MS) return { word: "Breathe", detail: "well done" };
  return null;
}

export function showRehearsal(state, view, gateNow) {
  const coach = view.lost ? null : coached(state, gateNow, performance.now());
  const patient = document.body.classList.contains("patient");
  $("coach").hidden = coach === null && !patient;
  put("coach-word", coach?.word ?? (patient ? "Breathe calmly" : ""));
  put("coach-detail", coach?.detail ?? "");
  $("coach").dataset.doing = coach?.word ?? "";
  showAnswer(view.lost ? null : (state?.rehearsal ?? null), gateNow);
}

function span(value, digits, unit) {
  if (!value) return "--";
  return `${value.median.toFixed(digits)} (${value.low.toFixed(digits)} to ${value.high.toFixed(digits)})${unit}`;
}

function percent(share) {
  return share === null || share === undefined ? "--" : `${Math.round(100 * share)} %`;
}

function fixed(value, digits, unit) {
  return value === null || value === undefined ? "--" : `${value.toFixed(digits)}${unit}`;
}

function showAnswer(told, gateNow) {
  const box = $("rehearsal");
  box.dataset.advice = told?.advice ?? "none";
  if (told?.running_until_ns) {
    put("rehearsal-word", "Rehearsing");
    put("rehearsal-reason", `${Math.max(0, Math.ceil(told.running_until_ns / 1e9 - gateNow / 1000))} s left; R ends it`);
  } else {
    put("rehearsal-word", told ? (WORDS[told.advice] ?? "Told too little") : "Not rehearsed");
    put("rehearsal-reason", told ? told.reasons.join("; ") : "Let the patient breathe in and hold as in the scan: R");
  }
  const expected = told?.forecast ?? null;
  const figures = {
    "told-before": fixed(told?.rate_before_bpm, 0, ""),
    "told-held": fixed(told?.rate_held_bpm, 0, ""),
    "told-settle": fixed(told?.settle_s, 0, " s"),
    "told-drift": fixed(told?.drift_bpm_per_10_s, 1, ""),
    "told-rejected": told?.beats ? `${told.ectopic + told.rejected} of ${told.beats}` : "--",
    "told-beats": span(expected?.beats, 0, ""),
    "told-hold": span(expected?.breath_hold_s, 0, " s"),
    "told-free": percent(expected?.motion_free),
    "told-complete": percent(expected?.complete),
    "told-dose": span(expected?.dose_msv, 2, " mSv"),
  };
  for (const [id, text] of Object.entries(figures)) put(id, text);
  const longest = expected?.breath_hold_s?.high;
  put("check-hold", longest ? `Can hold the breath for ${Math.ceil(longest)} s` : "Can hold the breath for 20 s");
}

export function countChecks() {
  const boxes = [...document.querySelectorAll("#checks input")];
  put("checked", `${boxes.filter((box) => box.checked).length} of ${boxes.length}`);
}

export function togglePatient() {
  const on = document.body.classList.toggle("patient");
  $("patient").setAttribute("aria-pressed", String(on));
}
