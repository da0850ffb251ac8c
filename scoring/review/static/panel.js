// The column at the side: the running score, the five buttons, the list of lesions, and the strip of all slices.

const $ = (id) => document.getElementById(id);

function make(kind, text = "", attributes = {}) {
  const element = document.createElement(kind);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function vesselButtons(facts, give) {
  const choices = [...facts.vessels.map((vessel, place) => [String(place + 1), vessel]), ["0", null]];
  $("vessels").replaceChildren(...choices.map(([key, vessel]) => {
    const button = make("button", "", { "aria-keyshortcuts": key, "aria-pressed": "false", "data-vessel": vessel ?? "" });
    button.setAttribute("aria-label", vessel ? `${vessel}, key ${key}` : "Not coronary, key 0");
    button.style.setProperty("--c", vessel ? facts.colours[vessel] : "#95a5b4");
    const head = make("span", vessel ?? "none");
    head.append(" ", make("kbd", key));
    button.append(head, make("b", vessel ? "--" : "–"), make("small", vessel ? "" : "bone …"));
    button.addEventListener("click", () => give(vessel));
    return button;
  }));
}

export function showTotals(state) {
  const { totals } = state;
  $("total").textContent = totals.total?.shown ?? "--";
  // a class while lesions wait could be a zero that is none
  const n = state.undecided;
  const classed = totals.category === null ? "no class" : `class ${totals.category.replace(">", "> ")}, ${totals.cac_drs}`;
  $("class").textContent = totals.total && n ? `so far: ${n} lesion${n === 1 ? " waits" : "s wait"}` : classed;
  for (const button of $("vessels").children) {
    const part = totals.vessels[button.dataset.vessel];
    if (!button.dataset.vessel) continue;
    button.children[1].textContent = part ? part.shown : "--";
    button.children[2].textContent = part ? `${part.lesions} lesion${part.lesions === 1 ? "" : "s"}` : "";
  }
}

export function showPressed(vessel, decided, any) {
  for (const button of $("vessels").children) {
    const pressed = any && (button.dataset.vessel ? vessel === button.dataset.vessel : vessel === null && decided);
    button.setAttribute("aria-pressed", String(pressed));
  }
}

// One digit after the point, none for what is large: bone.
export const few = (value) => value.toFixed(value < 1000 ? 1 : 0);

function row(lesion, facts) {
  const item = make("li", "", { role: "option", "data-number": lesion.number, "data-decided": String(lesion.decided), id: `lesion-${lesion.number}` });
  const from = lesion.first_slice + 1, to = lesion.last_slice + 1;
  const cells = [String(lesion.number), from === to ? String(from) : `${from}–${to}`, lesion.peak_hu.toFixed(0), few(lesion.area_mm2), few(lesion.agatston)];
  item.append(...cells.map((text) => make("span", text)));
  const vessel = make("span", lesion.vessel ?? (lesion.decided ? "none" : "?"), { class: "vessel" });
  vessel.style.setProperty("--c", lesion.vessel ? facts.colours[lesion.vessel] : lesion.decided ? "#95a5b4" : facts.colours[""]);
  const waits = lesion.decided ? "" : lesion.vessel ? "to be seen" : "waits";
  const proposed = lesion.proposed === null ? waits : `proposed ${lesion.proposed} ${Math.round(100 * lesion.confidence)} %`;
  if (!lesion.decided) vessel.append(make("small", proposed));
  if (lesion.why) item.title = lesion.why;
  item.append(vessel);
  return item;
}

export function showList(state, facts) {
  $("list").replaceChildren(...state.lesions.map((lesion) => row(lesion, facts)));
  const waiting = $("waiting");
  const n = state.undecided;
  waiting.textContent = n ? `● ${n} of ${state.lesions.length} lesions wait for a decision` : `All ${state.lesions.length} lesions are decided`;
  waiting.classList.toggle("some", n > 0);
}

export function showSelected(lesion) {
  for (const item of $("list").children) item.setAttribute("aria-selected", String(Number(item.dataset.number) === lesion?.number));
  const item = lesion && $(`lesion-${lesion.number}`);
  $("list").setAttribute("aria-activedescendant", item ? item.id : "");
  item?.scrollIntoView({ block: "nearest" });
}

export function showStanding(state) {
  const { standing } = state;
  $("standing").textContent = standing.words;
  $("standing").dataset.confirmed = String(standing.confirmed);
  $("revision").textContent = standing.revision === 0 ? "no revision yet" : standing.confirmed ? "" : `${standing.changed ? "changed since " : ""}revision ${standing.revision}`;
  $("notices").replaceChildren(...state.notices.map((text) => make("li", text)));
  $("reasons").replaceChildren(...state.reasons.map((text) => make("li", text)));
  $("refused").hidden = state.reasons.length === 0;
  const { left } = state;
  $("left").hidden = left === null;
  if (left) {
    const began = new Date(left.began_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const from = left.base === state.standing.revision ? "" : ` They began from ${left.base ? `revision ${left.base}` : "no revision"}: look at each.`;
    $("left-text").textContent = `A review begun ${began} ended without a save: ${left.edits} edit(s).${from}`;
  }
}

export function sizeStrip(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(28 * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
}

// All slices at a glance: where lesions lie, whose they are, and where we are.
export function showStrip(canvas, facts, lesions, look) {
  const g = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const high = canvas.height / ratio;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, 28, high);
  const step = high / Math.max(1, facts.slices);
  const y = (slice) => high - (slice + 1) * step;
  g.fillStyle = "#31507a";
  g.fillRect(0, y(look.slice), 28, Math.max(3, step));
  for (const lesion of lesions) {
    const side = lesion.vessel ? 4 + 5 * facts.vessels.indexOf(lesion.vessel) : 0;
    g.fillStyle = lesion.vessel ? facts.colours[lesion.vessel] : lesion.decided ? "#4d5a66" : facts.colours[""];
    g.fillRect(side, y(lesion.last_slice) + 0.5, lesion.vessel ? 4 : 3, Math.max(2, (lesion.last_slice - lesion.first_slice + 1) * step - 1));
  }
  g.strokeStyle = "#d3dce4";
  g.strokeRect(0.5, y(look.slice) + 0.5, 27, Math.max(3, step) - 1);
}
