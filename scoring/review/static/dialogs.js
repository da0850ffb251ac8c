// The three dialogs: a draft needs none, a confirmation needs a name and a decision on each lesion, help shows the keys.

import { few } from "./panel.js";

const $ = (id) => document.getElementById(id);

export class Dialogs {
  constructor({ link, jump, say }) {
    Object.assign(this, { link, jump, say, state: null });
    for (const id of ["done", "help"]) $(`${id}-no`).addEventListener("click", () => $(`${id}-box`).close());
    $("done-yes").addEventListener("click", () => this.confirm());
    $("reviewer").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); this.confirm(); } });
  }

  show(state) {
    this.state = state;
    if ($("done-box").open) this.fill();
  }

  help() { $("help-box").showModal(); }

  async draft() {
    this.say("Writing a draft …");
    if (!(await this.link.ask("save", () => ({ state: "draft" })))) this.say(`Draft written: revision ${this.state.standing.revision}.`);
  }

  done() {
    $("done-error").textContent = "";
    $("done-rest").checked = false;
    $("done-whole").checked = Boolean(this.state.heart?.said_whole);
    this.fill();
    $("done-box").showModal();
    $("reviewer").focus();
  }

  fill() {
    const { totals, undecided, lesions, heart } = this.state;
    const total = totals.total;
    const classed = undecided ? "so far" : totals.category === null ? "no class" : `class ${totals.category}, ${totals.cac_drs}`;
    $("done-score").textContent = total ? `Agatston ${total.shown}, ${classed}` : "No total: the lesions are listed.";
    $("done-waiting").hidden = undecided === 0;
    $("done-heart").hidden = heart === null;
    $("done-heart-text").textContent = heart === null ? "" : `${heart.why.join(" ")} Then the score is a lower bound, without a class.`;
    const [n, s] = [undecided, undecided === 1 ? "" : "s"];
    $("done-waiting-text").textContent = `${n} lesion${s} without your decision. Those without a vessel would not count. Go to one:`;
    $("done-list").replaceChildren(...lesions.filter((lesion) => !lesion.decided).map((lesion) => {
      const button = document.createElement("button");
      button.textContent = `${lesion.number} ${lesion.vessel ?? "no vessel"} ${few(lesion.agatston)}`;
      button.addEventListener("click", () => { $("done-box").close(); this.jump(lesion.number); });
      return button;
    }));
  }

  async confirm() {
    const error = $("done-error");
    error.textContent = "";
    if (!$("reviewer").value.trim()) { error.textContent = "Who confirms? Write your name."; $("reviewer").focus(); return; }
    if (this.state.undecided && !$("done-rest").checked) { error.textContent = "Say above that they stay as shown, or decide on each."; $("done-rest").focus(); return; }
    $("done-yes").disabled = true;
    const refused = await this.link.ask("save", () => ({ state: "confirmed", reviewer: $("reviewer").value, rest_stays: $("done-rest").checked, whole_heart: this.state.heart === null ? null : $("done-whole").checked }));
    $("done-yes").disabled = false;
    if (refused) { error.textContent = refused; return; }
    $("done-box").close();
    this.say(`Written and confirmed: revision ${this.state.standing.revision}.`);
  }
}
