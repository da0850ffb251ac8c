// What may be believed now, from the page's own clock. Pure: state and times in, words out.

export const SILENT_MS = 1000; // strip frames come 25 times a second, states 4 times
export const PEER_SILENT_MS = 1500; // gate and bridge speak twice a second
const OLD_SAMPLE_MS = 1500; // samples that come, but late: the broker held them back

const WORDS = { go: "GO", wait: "WAIT", "no-go": "NO-GO", "no-data": "NO DATA" };

function seconds(ms) {
  return (ms / 1000).toFixed(1);
}

// times: page (now), opened, message, strip, state (arrivals; null: never), gateNow, newest (gate clock; null: unknown)
export function judge(state, times) {
  const sinceMessage = times.page - (times.message ?? times.opened);
  const sinceStrip = times.page - (times.strip ?? times.opened);
  const sampleAge = times.newest === null ? sinceStrip : Math.max(0, times.gateNow - times.newest);
  const lost = sinceMessage > SILENT_MS;
  const sinceState = state ? times.page - times.state : 0;
  const gateAge = state?.gate ? state.gate.age_ms + sinceState : null;
  const scannerAge = state?.scanner ? state.scanner.age_ms + sinceState : null;
  const gateSilent = gateAge === null || gateAge > PEER_SILENT_MS;
  const scannerSilent = scannerAge === null || scannerAge > PEER_SILENT_MS;
  const noStrip = sinceStrip > SILENT_MS || sampleAge > OLD_SAMPLE_MS || times.strip === null;
  const noData = lost || gateSilent || noStrip;
  const noDataMs = Math.max(sinceStrip, sampleAge, lost ? sinceMessage : 0, noStrip ? 0 : (gateAge ?? 0));
  const whole = { lost, gateAge, scannerAge, gateSilent, scannerSilent, noData, noDataMs };
  return { ...whole, ...advise(state, whole, sinceMessage) };
}

function advise(state, seen, sinceMessage) {
  const say = (advice, reason) => ({ advice, word: WORDS[advice], reason });
  if (seen.lost) return say("no-data", `This page has not heard the monitor for ${seconds(sinceMessage)} s`);
  if (!state) return say("no-data", "Connecting to the monitor");
  if (!state.broker_up) return say("no-data", state.broker_text);
  if (seen.gateAge === null) return say("no-data", "No gate heard yet: is it running?");
  if (seen.gateSilent) return say("no-data", `The gate has been silent for ${seconds(seen.gateAge)} s`);
  const gate = state.gate;
  if (gate.advice !== "go") return say(gate.advice, gate.reasons[0] ?? "The gate gives no reason");
  if (seen.noData) return say("no-data", "The gate speaks, but no ECG comes to this page");
  return judgeScanner(state, seen, say) ?? say("go", gate.reasons[0] ?? (gate.steadiness === "unknown" ? "" : `Rhythm ${gate.steadiness}`));
}

// A gate that says GO is no GO when the scanner cannot follow.
function judgeScanner(state, seen, say) {
  const scanner = state.scanner;
  if (seen.scannerAge === null) return say("wait", "No scanner heard yet: is the bridge running?");
  if (seen.scannerSilent) return say("wait", `The scanner bridge has been silent for ${seconds(seen.scannerAge)} s`);
  if (scanner.state === "fault") return say("no-go", scanner.reasons[0] ?? "Scanner fault");
  if (scanner.state === "inhibited") return say("wait", scanner.reasons[0] ?? "The scanner bridge is inhibited");
  return null;
}
