// Joins the parts: what is selected, what keys and buttons do, and what the desk says.

import { Link } from "./link.js";
import { contains } from "./outline.js";
import { showList, showPressed, showSelected, showStanding, showStrip, sizeStrip, showTotals, vesselButtons } from "./panel.js";
import { PRESETS, Slices } from "./slices.js";
import { Stage } from "./stage.js";
import { Dialogs } from "./dialogs.js";

const $ = (id) => document.getElementById(id);
const CLOSE_UP = 4;

const look = { slice: 0, lesion: null, island: null, single: false, cutting: false, preset: 0, centre: PRESETS[0].centre, width: PRESETS[0].width, colours: {} };
let facts, slices, state, islands = [], anchor = null, told = 0;

function say(text, bad = false) {
  $("answer").textContent = text;
  $("answer").dataset.bad = String(bad);
  clearTimeout(told);
  if (!bad) told = setTimeout(() => { $("answer").textContent = ""; }, 6000);
}

const stage = new Stage($("stage"), look, {
  select: (place) => { if (place !== null) whenAnswered(place, selectIsland); },
  slice: goTo,
  cut: cutAlong,
  window: () => { look.preset = null; showPlace(); },
  point: (row, column) => {
    const hu = slices.at(look.slice, row, column);
    $("pointer").textContent = hu === null ? "" : `${hu === -32768 ? "outside" : `${hu} HU`}  row ${row + 1}, column ${column + 1}`;
  },
});

const link = new Link(take, (text) => say(text, true));
const dialogs = new Dialogs({ link, jump: (number) => select(byNumber(number)), say });

function byNumber(number) { return state.lesions[number - 1] ?? null; }
function lesionAt(place) { return state.lesions.find((lesion) => lesion.islands.includes(place)) ?? null; }

function take(newState, newIslands) {
  state = newState;
  islands = newIslands;
  stage.show(state.lesions, islands);
  showTotals(state);
  showList(state, facts);
  showStanding(state);
  dialogs.show(state);
  const place = anchor && islands.findIndex((island) => String(island.first) === String(anchor));
  const again = anchor && place >= 0 ? lesionAt(place) : null;
  look.lesion = again ?? (look.lesion && (byNumber(look.lesion.number) ?? state.lesions.at(-1))) ?? null;
  look.island = again ? place : look.lesion ? mainIsland(look.lesion) : null;
  anchor = look.island === null ? null : islands[look.island]?.first ?? null;
  for (const id of ["keep", "cut", "save", "done"]) $(id).disabled = !state.editable;
  for (const button of $("vessels").children) button.disabled = !state.editable;
  $("undo").disabled = !state.can_undo;
  $("redo").disabled = !state.can_redo;
  showSelection();
}

function mainIsland(lesion, slice = lesion.main_slice) {
  const here = lesion.islands.filter((place) => islands[place].first[0] === slice);
  const from = here.length ? here : lesion.islands;
  return from.reduce((best, place) => (islands[place].area_mm2 > islands[best].area_mm2 ? place : best));
}

function showSelection() {
  const { lesion } = look;
  showSelected(lesion);
  showPressed(lesion?.vessel ?? null, lesion?.decided ?? false, lesion !== null);
  showPlace();
  stage.draw();
}

function showPlace() {
  const z = facts.positions_mm[look.slice];
  $("place").textContent = facts.slices ? `slice ${look.slice + 1} / ${facts.slices}   z ${z.toFixed(1)} mm` : "";
  const name = look.preset === null ? "Own window" : PRESETS[look.preset].name;
  $("window").textContent = facts.slices ? `${name}   W ${Math.round(look.width)}  L ${Math.round(look.centre)}` : "";
  $("preset-name").textContent = name;
  $("tool").textContent = look.cutting ? "CUT: draw a line across a lesion; X or Esc ends" : look.single ? "ONE ISLAND: edits touch this slice alone; I ends" : "";
  $("stage").classList.toggle("cutting", look.cutting);
  for (const [id, on] of [["single", look.single], ["cut", look.cutting], ["close-up", stage.view.zoom >= CLOSE_UP]]) $(id).setAttribute("aria-pressed", String(on));
  showStrip($("strip"), facts, state?.lesions ?? [], look);
}

function goTo(slice) {
  if (!facts.slices) return;
  look.slice = Math.max(0, Math.min(facts.slices - 1, slice));
  if (look.single && look.lesion) {
    const here = look.lesion.islands.filter((place) => islands[place].first[0] === look.slice);
    if (here.length && !here.includes(look.island)) { look.island = mainIsland(look.lesion, look.slice); anchor = islands[look.island].first; }
  }
  showPlace();
  stage.draw();
}

function select(lesion) {
  if (!lesion) return;
  look.lesion = lesion;
  look.island = mainIsland(lesion);
  anchor = islands[look.island].first;
  look.slice = lesion.main_slice;
  if (stage.view.zoom > 1.01 || !stage.sees(islands[look.island])) stage.centre(islands[look.island]);
  showSelection();
}

function selectIsland(place) {
  look.lesion = lesionAt(place);
  look.island = place;
  anchor = islands[place].first;
  showSelection();
}

// What was pointed at is named by its first pixel, for an edit on its way can give the islands other places.
function whenAnswered(place, act) {
  const name = String(islands[place].first);
  link.after(() => {
    const now = islands.findIndex((island) => String(island.first) === name);
    if (now >= 0) act(now);
  });
}

// Gives false where there is none further on.
function move(by) {
  const next = look.lesion ? look.lesion.number + by : by > 0 ? 1 : state.lesions.length;
  const lesion = byNumber(next);
  if (!lesion) { say(by > 0 ? "That was the last lesion." : "That was the first lesion."); return false; }
  select(lesion);
  return true;
}

function chosen() {
  if (!look.lesion) { say("Select a lesion first: N, or click on one.", true); return null; }
  const places = look.single ? [look.island] : look.lesion.islands;
  return places.map((place) => islands[place].first);
}

function give(vessel) {
  link.ask("step", () => {
    const named = state.editable && chosen();
    if (named) say("");
    return named && { step: { kind: "give", islands: named, vessel } };
  });
}

async function keep() {
  let number = 0;
  const wants = () => {
    const named = state.editable && chosen();
    number = look.lesion?.number ?? 0;
    return named && { step: { kind: "keep", islands: named } };
  };
  if ((await link.ask("step", wants)) !== null) return;
  const after = [...state.lesions.slice(number), ...state.lesions.slice(0, number)].find((lesion) => !lesion.decided);
  if (after) select(after); else say("All lesions are decided: D ends the review.");
}

async function cutAlong(points) {
  const cutIn = look.slice;
  let crossed = [];
  const wants = () => {
    const here = islands.filter((island) => island.first[0] === cutIn);
    crossed = here.filter((island) => points.some(([row, column]) => contains(island, row, column)));
    return { step: { kind: "cut", slice: cutIn, points } };
  };
  if ((await link.ask("step", wants)) !== null) return;
  look.cutting = false;
  const pieces = islands.map((_, place) => place).filter((place) => {
    const [slice, row, column] = islands[place].first;
    return slice === cutIn && crossed.some((island) => contains(island, row, column));
  });
  if (!pieces.length) { say("Cut: what was left is below the smallest area, so it counts no more."); showSelection(); return; }
  look.single = true;
  selectIsland(pieces.reduce((least, place) => (islands[place].area_mm2 < islands[least].area_mm2 ? place : least)));
  say(`Cut into ${pieces.length} part${pieces.length === 1 ? "" : "s"}; the smaller is selected: 0 to 4 gives it a vessel.`);
}

function closeUp() {
  if (stage.view.zoom >= CLOSE_UP || look.island === null) stage.fit();
  else { stage.centre(islands[look.island], CLOSE_UP); look.slice = islands[look.island].first[0]; }
  showPlace();
}

function nextPreset() {
  look.preset = look.preset === null ? 0 : (look.preset + 1) % PRESETS.length;
  ({ centre: look.centre, width: look.width } = PRESETS[look.preset]);
  showPlace();
  stage.draw();
}

function toggle(name) {
  look[name] = !look[name];
  if (name === "single" && look.single && look.lesion) { look.island = mainIsland(look.lesion, look.slice); anchor = islands[look.island].first; }
  showSelection();
}

function escape() {
  look.cutting = false;
  look.single = false;
  showSelection();
}

const vesselOf = (key) => facts.vessels[Number(key) - 1] ?? null;
const step = (kind) => link.ask("step", () => ({ step: { kind } }));
const later = (act) => () => link.after(act);
// What selects or looks waits for the edits before it; what edits or saves stands in the same line by itself.
const KEYS = {
  n: later(() => move(1)), p: later(() => move(-1)), i: later(() => toggle("single")), x: later(() => state.editable && toggle("cutting")),
  u: () => step("undo"), r: () => step("redo"), z: later(closeUp), w: nextPreset, f: later(() => { stage.fit(); showPlace(); }),
  s: () => state.editable && dialogs.draft(), d: () => state.editable && dialogs.done(), "?": () => dialogs.help(),
  "+": later(() => { stage.zoom(1.25); showPlace(); }), "=": later(() => { stage.zoom(1.25); showPlace(); }), "-": later(() => { stage.zoom(0.8); showPlace(); }),
  ArrowUp: later(() => goTo(look.slice + 1)), ArrowDown: later(() => goTo(look.slice - 1)),
  PageUp: later(() => goTo(look.slice + 5)), PageDown: later(() => goTo(look.slice - 5)),
  Home: later(() => goTo(facts.slices - 1)), End: later(() => goTo(0)), Escape: later(escape),
};

function onKey(event) {
  if (!state || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    step(event.shiftKey ? "redo" : "undo");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = document.activeElement;
  if (event.key === "Enter" && on?.tagName !== "BUTTON") { event.preventDefault(); keep(); return; }
  if (event.key === "Tab") { // on the image Tab goes through the lesions, and on past the last one
    if (on !== $("stage")) return;
    const by = event.shiftKey ? -1 : 1;
    if (!look.lesion || byNumber(look.lesion.number + by)) event.preventDefault();
    link.after(() => move(by));
    return;
  }
  if (on === $("list") && event.key.startsWith("Arrow")) { event.preventDefault(); link.after(() => move(event.key === "ArrowDown" ? 1 : -1)); return; }
  if (/^[0-4]$/.test(event.key)) { event.preventDefault(); give(event.key === "0" ? null : vesselOf(event.key)); return; }
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (act) { event.preventDefault(); act(); }
}

function wire() {
  const clicks = {
    previous: KEYS.p, next: KEYS.n, keep, single: KEYS.i, cut: KEYS.x, undo: () => step("undo"),
    redo: () => step("redo"), "close-up": KEYS.z, preset: nextPreset, help: () => dialogs.help(), save: () => dialogs.draft(), done: () => dialogs.done(),
    "left-yes": () => link.ask("left", () => ({ take: true })), "left-no": () => link.ask("left", () => ({ take: false })),
  };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
  $("list").addEventListener("click", (event) => {
    const lesion = byNumber(Number(event.target.closest("li")?.dataset.number));
    if (lesion) whenAnswered(mainIsland(lesion), (place) => select(lesionAt(place)));
  });
  const strip = (event) => { if (event.buttons) goTo(facts.slices - 1 - Math.floor((event.offsetY / $("strip").clientHeight) * facts.slices)); };
  $("strip").addEventListener("pointerdown", (event) => { $("strip").setPointerCapture(event.pointerId); strip(event); });
  $("strip").addEventListener("pointermove", strip);
  new ResizeObserver(() => { sizeStrip($("strip")); showPlace(); }).observe($("stage-box"));
  document.addEventListener("keydown", onKey);
}

async function begin() {
  await link.open();
  facts = await link.json("api/series");
  look.colours = facts.colours;
  $("series").textContent = facts.series || "--";
  $("simulated").hidden = !facts.simulated;
  vesselButtons(facts, give);
  if (facts.slices) {
    slices = new Slices(facts, await (await link.get("api/volume")).arrayBuffer());
    look.slice = Math.floor(facts.slices / 2);
    stage.open(slices);
  } else $("refused").classList.add("whole");
  await link.begin();
  wire();
  $("stage").focus();
  if (state.lesions.length) select(state.lesions.find((lesion) => !lesion.decided) ?? state.lesions[0]);
  else showSelection();
  document.body.dataset.ready = "true";
}

window.diastole = { stage, look }; // for a bench to read how many frames were drawn
begin().catch((error) => { document.querySelector("#loading strong").textContent = error.message || "The review does not answer."; });
