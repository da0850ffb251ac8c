// Requests to the desk, one after the other: an edit names the state that it was made on.

export class Link {
  constructor(onState, onTrouble) {
    this.onState = onState;
    this.onTrouble = onTrouble;
    this.state = null;
    this.islands = [];
    this.turn = Promise.resolve();
  }

  async json(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
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

  // Gives the text of a refusal, or null when it was done.
  ask(path, wants) {
    const done = this.turn.then(() => this.sent(path, wants));
    this.turn = done.catch(() => {});
    return done;
  }

  async sent(path, wants) {
    try {
      const answer = await fetch(`api/${path}`, {
        method: "POST", headers: { "content-type": "application/json" },
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
