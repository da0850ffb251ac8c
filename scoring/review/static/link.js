// Requests to the desk, one after the other: an edit names the state that it was made on.

const KEPT = "diastole.review.key"; // kept for this address and port alone, unlike a cookie

function kept() {
  try { return localStorage.getItem(KEPT) ?? ""; } catch { return ""; } // storage forbidden: the page lasts until it is loaded again
}

function keep(key) {
  try { localStorage.setItem(KEPT, key); } catch { return; }
}

export class Link {
  constructor(onState, onTrouble) {
    this.onState = onState;
    this.onTrouble = onTrouble;
    this.state = null;
    this.islands = [];
    this.turn = Promise.resolve();
    this.waiting = 0;
    this.key = kept();
  }

  // Change the token of the printed address for the key, and take it out of the address.
  async open() {
    const token = new URLSearchParams(location.search).get("token");
    if (token === null) return;
    history.replaceState(null, "", location.pathname);
    const answer = await fetch("api/open", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }),
    });
    if (!answer.ok) return; // used before: perhaps by this browser, which then has the key
    this.key = (await answer.json()).key;
    keep(this.key);
  }

  async get(path) {
    const answer = await fetch(path, { headers: { "x-diastole-key": this.key } });
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }

  async json(path) {
    return (await this.get(path)).json();
  }

  async begin() {
    await this.take(await this.json("api/state"));
  }

  // What the desk says is so; the islands come anew only when they changed.
  async take(state) {
    if (this.state?.islands_number !== state.islands_number) this.islands = await this.json("api/islands");
    this.state = state;
    this.onState(state, this.islands);
  }

  // Do something when all that was asked before is answered: a hand can be quicker than the desk, and what it means is
  // the state that its own last key makes.
  after(act) {
    if (this.waiting) this.queue(act).catch(reportError);
    else act();
  }

  queue(act) {
    this.waiting += 1;
    const done = this.turn.then(act).finally(() => { this.waiting -= 1; });
    this.turn = done.catch(() => {});
    return done;
  }

  // `wants` makes the request at its turn, or nothing. Gives the text of a refusal, null when it was done.
  ask(path, wants) {
    return this.queue(() => {
      const made = wants();
      return made ? this.sent(path, made) : undefined;
    });
  }

  async sent(path, wants) {
    try {
      const answer = await fetch(`api/${path}`, {
        method: "POST", headers: { "content-type": "application/json", "x-diastole-key": this.key },
        body: JSON.stringify({ seen: this.state.number, ...wants }),
      });
      const said = await answer.json();
      if (answer.ok) { await this.take(said); return null; }
      if (said.state) await this.take(said.state);
      this.onTrouble(said.error);
      return said.error;
    } catch {
      const text = "The review does not answer. Your edits up to here are kept; start `diastole review` again.";
      this.onTrouble(text);
      return text;
    }
  }
}
