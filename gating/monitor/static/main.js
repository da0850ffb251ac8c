// The page: joins link, clock, traces, sweep and panels; keys and buttons.

import { GateClock } from "./clock.js";
import { judge } from "./judge.js";
import { Link } from "./link.js";
import { showPanels } from "./panels.js";
import { countChecks, showRehearsal, startRehearsal, togglePatient } from "./rehearsal.js";
import { Sweep } from "./sweep.js";
import { decodeStrip, Traces } from "./traces.js";

const $ = (id) => document.getElementById(id);
const GAINS = [2.5, 5, 10, 20, 40]; // mm/mV
const SPEEDS = [12.5, 25, 50]; // mm/s
const CARD_MM = 85.6; // ISO/IEC 7810 ID-1
const CSS_PX_PER_MM = 96 / 25.4;
const PANELS_EVERY_MS = 100;

const clock = new GateClock();
const traces = new Traces();
const sweep = new Sweep($("strip"), traces);
const opened = performance.now();
const seen = { state: null, stateAt: null, message: null, strip: null, boot: null };
const measured = { frames: 0, since: opened, fps: 0 }; // read by the tests
let frozenAt = null;
let panelsAt = 0;
let chosenLead = recall("lead", null);

function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`diastole.${name}`)) ?? otherwise;
  } catch {
    return otherwise; // storage forbidden or spoilt: the page works without
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`diastole.${name}`, JSON.stringify(value));
  } catch {
    return; // storage forbidden: the choice lasts as long as the page
  }
}

// --- what comes in ---

const link = new Link({
  onOpen() {
    clock.reset();
  },
  onStrip(buffer) {
    const frame = decodeStrip(buffer);
    const now = performance.now();
    seen.message = now;
    clock.hear(frame.now, now);
    sweep.expect(clock.at(now));
    const names = traces.names.join();
    if (traces.add(frame)) seen.strip = now;
    if (names !== traces.names.join()) {
      showLeads();
      sweep.layout();
    }
  },
  onState(state) {
    const now = performance.now();
    if (state.gate && state.gate.boot !== seen.boot) {
      if (seen.boot !== null) clock.reset();
      seen.boot = state.gate.boot;
    }
    clock.hear(state.now_ms, now);
    Object.assign(seen, { state, stateAt: now, message: now });
    chooseLead();
    sweep.setNotes(Object.fromEntries((state.gate?.leads ?? []).filter((l) => !l.trusted).map((l) => [l.lead, l.reason])));
    if (frozenAt === null) sweep.show(state);
    panelsAt = 0;
  },
  onAnswer(answer) {
    say(answer.sent ? `${answer.request} sent` : `${answer.request} not sent: ${answer.text}`);
  },
});

function currentView(now) {
  const gateNow = clock.known ? clock.at(now) : 0;
  return judge(seen.state, {
    page: now, opened, message: seen.message, strip: seen.strip, state: seen.stateAt, gateNow, newest: traces.newest,
  });
}

// --- one frame ---

function frame() {
  const now = performance.now();
  const view = currentView(now);
  sweep.setGrey(view.noData);
  if (frozenAt === null && clock.known) sweep.step(clock.at(now));
  else if (!clock.known || sweep.dirty) sweep.step(sweep.head ?? 0);
  if (now - panelsAt > PANELS_EVERY_MS) {
    panelsAt = now;
    showPanels(seen.state, view, clock.known ? clock.at(now) : 0);
    showRehearsal(seen.state, view, clock.known ? clock.at(now) : 0);
    showOverlay(view, now);
  }
  measured.frames += 1;
  if (now - measured.since > 1000) {
    measured.fps = (1000 * measured.frames) / (now - measured.since);
    document.documentElement.dataset.fps = measured.fps.toFixed(1);
    measured.frames = 0;
    measured.since = now;
  }
  requestAnimationFrame(frame);
}

function showOverlay(view, now) {
  $("no-data").hidden = !view.noData;
  $("no-data-for").textContent = seen.strip === null ? `for ${(view.noDataMs / 1000).toFixed(1)} s: no ECG yet` : `for ${(view.noDataMs / 1000).toFixed(1)} s`;
  const late = view.noData || sweep.head === null || !clock.known ? null : clock.at(now) - sweep.head;
  const atLeast = seen.state && !seen.state.same_clock ? "≥ " : "";
  $("delay-ms").textContent = late === null || frozenAt !== null ? "--" : atLeast + late.toFixed(0);
  $("frozen").hidden = frozenAt === null;
  if (frozenAt !== null) $("frozen-for").textContent = `${((now - frozenAt) / 1000).toFixed(0)} s ago`;
}

// A throttled tab paints no frames, but its clock goes on: the words must not stay behind either.
setInterval(() => {
  const now = performance.now();
  if (now - panelsAt < 500) return;
  const view = currentView(now);
  showPanels(seen.state, view, clock.known ? clock.at(now) : 0);
  showRehearsal(seen.state, view, clock.known ? clock.at(now) : 0);
  showOverlay(view, now);
}, 500);

// --- leads, gain, speed, millimetres ---

function chooseLead() {
  const best = seen.state?.gate?.best_lead;
  const automatic = best ?? (traces.names.includes("II") ? "II" : traces.names[0]);
  const lead = traces.names.includes(chosenLead) ? chosenLead : automatic;
  if (lead !== undefined && lead !== sweep.settings.main) {
    sweep.set({ main: lead });
    showLeads();
  }
}

function showLeads() {
  $("leads").replaceChildren(
    ...traces.names.slice(0, 3).map((name, i) => {
      const button = document.createElement("button");
      button.textContent = name;
      button.setAttribute("aria-keyshortcuts", String(i + 1));
      button.setAttribute("aria-pressed", String(name === sweep.settings.main));
      button.title = `Lead ${name} big (${i + 1}); again: the best lead by itself`;
      button.onclick = () => pickLead(i);
      return button;
    }),
  );
}

function pickLead(i) {
  const name = traces.names[i];
  if (name === undefined) return;
  chosenLead = chosenLead === name ? null : name;
  keep("lead", chosenLead);
  chooseLead();
  showLeads();
  say(chosenLead ? `lead ${name}` : "best lead");
}

function showScale() {
  const { speed } = sweep.settings;
  const gain = sweep.gain;
  $("gain").textContent = `${gain} mm/mV`;
  $("speed-value").textContent = `${speed} mm/s`;
  $("scale").textContent = `${speed} mm/s · ${gain} mm/mV · 0.5 Hz high-pass`;
}

function stepGain(by) {
  const at = Math.min(GAINS.length - 1, Math.max(0, GAINS.indexOf(sweep.gain) + by));
  sweep.set({ gain: GAINS[at] });
  keep("gain", GAINS[at]);
  showScale();
}

function nextSpeed() {
  const speed = SPEEDS[(SPEEDS.indexOf(sweep.settings.speed) + 1) % SPEEDS.length];
  sweep.set({ speed });
  keep("speed", speed);
  showScale();
}

function setPxPerMm(pxPerMm) {
  sweep.set({ pxPerMm });
  keep("px_per_mm", pxPerMm);
  $("card").style.width = `${pxPerMm * CARD_MM}px`;
  $("card").style.height = `${pxPerMm * 53.98}px`;
  $("card-width").value = String(Math.round(pxPerMm * CARD_MM));
}

function freeze() {
  frozenAt = frozenAt === null ? performance.now() : null;
  $("freeze").setAttribute("aria-pressed", String(frozenAt !== null));
  if (frozenAt === null) {
    sweep.dirty = true;
    if (seen.state) sweep.show(seen.state);
  }
  panelsAt = 0;
}

// --- requests ---

let quiet = 0;

function say(words) {
  $("answer").textContent = words;
  clearTimeout(quiet);
  quiet = setTimeout(() => ($("answer").textContent = ""), 4000);
}

function rehearse() {
  $("before").close(); // the coach stands on the strip
  startRehearsal(seen.state, () => request("rehearse"));
}

function before() {
  $("before").showModal();
}

function request(name) {
  if (!link.request(name)) say(`${name} not sent: no connection to the monitor`);
}

const KEYS = {
  f: freeze, s: nextSpeed, m: () => request("mark"), h: () => request("hold"), r: rehearse, b: before, p: togglePatient,
  "+": () => stepGain(1), "=": () => stepGain(1), "-": () => stepGain(-1),
  1: () => pickLead(0), 2: () => pickLead(1), 3: () => pickLead(2),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || $("calibration").open) return;
  if ($("before").open && event.key.toLowerCase() !== "r") return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

$("freeze").onclick = freeze;
$("speed").onclick = nextSpeed;
$("gain-up").onclick = () => stepGain(1);
$("gain-down").onclick = () => stepGain(-1);
for (const name of ["mark", "hold"]) $(name).onclick = () => request(name);
$("rehearse").onclick = rehearse;
$("patient").onclick = togglePatient;
$("prepare").onclick = before;
$("before-rehearse").onclick = rehearse;
$("before-close").onclick = () => $("before").close();
for (const box of document.querySelectorAll("#checks input")) box.onchange = countChecks;
countChecks();
$("calibrate").onclick = () => $("calibration").showModal();
$("calibration-done").onclick = () => $("calibration").close();
$("calibration-reset").onclick = () => setPxPerMm(CSS_PX_PER_MM);
$("card-width").oninput = (event) => setPxPerMm(Number(event.target.value) / CARD_MM);

const gain = recall("gain", null);
const speed = recall("speed", 25);
const pxPerMm = recall("px_per_mm", CSS_PX_PER_MM);
sweep.set({ gain: GAINS.includes(gain) ? gain : null, speed: SPEEDS.includes(speed) ? speed : 25 });
setPxPerMm(pxPerMm > 1 && pxPerMm < 40 ? pxPerMm : CSS_PX_PER_MM);
function fit() {
  sweep.resize();
  showScale();
}

new ResizeObserver(fit).observe($("strip-box"));
fit();
requestAnimationFrame(frame);
