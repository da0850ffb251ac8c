// The numbers and words around the strip. Unknown is "--", never 0; what is stale is not shown.

const $ = (id) => document.getElementById(id);

const SESSION_WORDS = {
  disarmed: "Not armed", armed: "Armed", booked: "Booked", exposing: "X-ray on", moving: "Table moves",
  inhibited: "Inhibited", complete: "Complete", ended: "Ended", fault: "Fault",
};

function put(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

// A figure among the numerals; an unknown one is quieter.
function figure(id, value) {
  put(id, number(value));
  $(id).classList.toggle("unknown", value === null || value === undefined);
}

// What a screen reader says: the word and the reason, but not every tenth of a second anew.
function speak(view) {
  const key = `${view.word} ${view.reason.replace(/[\d.]+/g, "")}`;
  const node = $("spoken");
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.textContent = `${view.word}. ${view.reason}`;
}

function number(value, digits = 0) {
  return value === null || value === undefined ? "--" : value.toFixed(digits);
}

export function showPanels(state, view, gateNow) {
  const body = document.body;
  body.dataset.advice = view.advice;
  body.classList.toggle("no-data", view.noData);
  body.classList.toggle("scanner-silent", view.lost || view.scannerSilent);
  put("word", view.word);
  put("reason", view.reason);
  speak(view);
  document.title = `${view.word} · Diastole`;
  $("simulated").hidden = !state?.simulated;
  showHeart(state, view);
  showLinks(state, view);
  if (!state) return;
  put("site", state.site);
  showScanner(state, view);
  showHold(state, view, gateNow);
}

function showHeart(state, view) {
  const gate = view.noData ? null : state?.gate;
  figure("hr", gate?.heart_rate_bpm);
  figure("rr", gate?.rr_interval_ms);
  figure("sd", gate?.sd_rr_ms);
  figure("premature", gate?.premature);
  $("premature").classList.toggle("odd", Boolean(gate?.premature));
}

function link(id, up, name, word) {
  const node = $(id);
  node.dataset.up = up;
  put(id, `${name} ${word}`);
}

function showLinks(state, view) {
  const broker = !view.lost && state?.broker_up;
  link("link-broker", Boolean(broker), "broker", view.lost ? "?" : broker ? "up" : "down");
  const silence = (age) => (age === null ? "not heard" : `silent ${(age / 1000).toFixed(0)} s`);
  link("link-gate", !view.lost && !view.gateSilent, "gate", view.lost ? "?" : view.gateSilent ? silence(view.gateAge) : "up");
  link("link-scanner", !view.lost && !view.scannerSilent, "scanner", view.lost ? "?" : view.scannerSilent ? silence(view.scannerAge) : "up");
}

function showScanner(state, view) {
  const refusals = { ...state.refused };
  const scanner = view.lost || view.scannerSilent ? null : state.scanner;
  for (const [reason, count] of Object.entries(state.scanner?.refused ?? {})) refusals[reason] = (refusals[reason] ?? 0) + count;
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
  put("refused", String(refused));
  $("refused-box").classList.toggle("some", refused > 0);
  $("refused-box").title = Object.entries(refusals).map(([reason, count]) => `${reason}: ${count}`).join("\n");
  put("session-state", scanner ? SESSION_WORDS[scanner.state] : "--");
  $("session").dataset.state = scanner?.state ?? "none";
  put("session-reason", sessionReason(state, view, scanner));
  put("msv", number(scanner?.effective_msv, 2));
  put("ctdi", number(scanner?.ctdivol_mgy, 2));
  put("dlp", number(scanner?.dlp_mgycm, 1));
  put("dlp-plan", scanner ? dosePlan(scanner) : "");
  $("msv-box").title = scanner ? `${scanner.msv_per_mgycm} mSv/(mGy cm): ${scanner.msv_factor_source}` : "";
  showSteps(scanner);
  const { fired = 0, cut = 0, redo = 0, held = 0, missed = 0, unreported = 0 } = state.outcomes;
  const odd = cut + redo ? ` · cut or redone ${cut + redo}` : "";
  put("outcomes", `fired ${fired} · held ${held} · missed ${missed + unreported}${odd}`);
}

function dosePlan({ planned_dlp_mgycm: planned, reference_dlp_mgycm: level }) {
  const against = level === null ? "no reference level set" : `${Math.round((100 * planned) / level)} % of the reference level`;
  return `of ${number(planned, 1)} planned: ${against}`;
}

function sessionReason(state, view, scanner) {
  if (!scanner) return state.scanner === null ? "No bridge heard yet" : "The bridge is silent";
  if (scanner.reasons.length) return scanner.reasons[0];
  return scanner.control === "none" ? "This driver controls no beam" : `driver ${scanner.driver}`;
}

function showSteps(scanner) {
  const steps = scanner?.steps ?? 0;
  const done = new Set(scanner?.steps_exposed ?? []);
  const next = scanner?.next_step ?? null;
  const label = $("step").querySelector("b");
  const text = !scanner ? "--" : next === null ? `${done.size} of ${steps} done` : `${next + 1} of ${steps}`;
  if (label.textContent !== text) label.textContent = text;
  const attempt = scanner?.next_attempt;
  put("attempt", next === null || attempt === null || attempt === undefined ? "" : `attempt ${attempt}`);
  const list = $("steps");
  const key = `${steps}/${[...done]}/${next}`;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...Array.from({ length: steps }, (_, step) => {
      const item = document.createElement("li");
      item.className = done.has(step) ? "done" : step === next ? "next" : "";
      item.textContent = done.has(step) ? `${step + 1} ✓` : `${step + 1}`;
      item.setAttribute("aria-label", `step ${step + 1} ${done.has(step) ? "exposed" : step === next ? "next" : "to come"}`);
      return item;
    }),
  );
}

function showHold(state, view, gateNow) {
  const hold = view.lost ? null : state.hold;
  const running = hold && hold.ended_ms === null;
  const box = $("hold-box");
  box.classList.toggle("running", Boolean(running));
  if (!hold) {
    put("hold-s", "--");
    put("hold-limit", "no hold");
    put("hold-change", "");
    $("hold-arc").style.strokeDasharray = "0 100";
    $("hold-settle").style.strokeDasharray = "0 100";
    return;
  }
  const held = Math.max(0, ((running ? gateNow : hold.ended_ms) - hold.began_ms) / 1000);
  const share = Math.min(100, (100 * held) / hold.limit_s);
  box.classList.toggle("late", Boolean(running) && held > 0.8 * hold.limit_s);
  put("hold-s", running ? held.toFixed(0) : held.toFixed(1));
  put("hold-limit", running ? `of ${hold.limit_s.toFixed(0)} s` : "s, ended");
  $("hold-arc").style.strokeDasharray = `${share} 100`;
  $("hold-settle").style.strokeDasharray = `${Math.min(100, (100 * hold.settle_s) / hold.limit_s)} 100`;
  const change = hold.heart_rate_change_bpm;
  const sign = change > 0 ? "+" : change < 0 ? "−" : "±";
  put("hold-change", change === null ? "" : `HR ${sign}${Math.abs(change).toFixed(0)} since`);
}
