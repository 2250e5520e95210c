// The state of the connection, in words: in the masthead always, and over the stage when the
// room cannot be heard.

import { byId } from "/dom.js";

// RFC 6455, 7.4.1, and the IANA registry.
const CODES = {
  1000: "normal",
  1001: "going away",
  1002: "protocol error",
  1003: "unsupported data",
  1005: "no code",
  1006: "no Close came",
  1007: "invalid data",
  1008: "policy violation",
  1009: "message too big",
  1011: "internal error",
  1012: "service restart",
  1013: "try again later",
};

export class Status {
  #room;
  #line = byId("connection");
  #name = byId("state");
  #note = byId("state-note");
  #toggle = byId("toggle");
  #notice = byId("notice");
  #title = byId("notice-title");
  #text = byId("notice-text");
  #countdown = byId("countdown");
  #retry = byId("retry");
  #ticker = 0;

  constructor(room) {
    this.#room = room;
    this.#toggle.addEventListener("click", () => this.#act());
    this.#retry.addEventListener("click", () => {
      room.connect();
      byId("text").focus({ preventScroll: true });
    });
    room.addEventListener("state", ({ detail }) => this.#show(detail));
  }

  /** A Close in words: its code, what that means, and the reason. */
  static describe({ code, reason }) {
    const meaning = CODES[code] ?? (code >= 4000 ? "private use" : "registered");
    return `${code} ${meaning}` + (reason ? `: ${reason}` : "");
  }

  #act() {
    const { name, retryAt } = this.#room.state;
    if (name === "closed" && !retryAt) this.#room.connect();
    else this.#room.disconnect();
  }

  #show(state) {
    clearInterval(this.#ticker);
    this.#line.dataset.state = state.name;
    document.body.dataset.connection = state.name;
    this.#name.textContent = state.name;
    this.#note.textContent = state.name === "closed" ? Status.describe(state) : this.#room.url;
    this.#note.title = this.#note.textContent;
    const idle = state.name === "closed" && !state.retryAt;
    this.#toggle.textContent = idle ? "Connect" : state.retryAt ? "Stop trying" : "Disconnect";
    this.#toggle.disabled = state.name === "closing";
    if (state.name === "open") this.#notice.hidden = true;
    if (state.name === "connecting") this.#tell("Calling", "Trying to reach the room.", false);
    if (state.name === "closed") this.#closed(state);
  }

  #closed(state) {
    if (state.byUser) {
      this.#tell("You hung up", `Closed with ${Status.describe(state)}.`, "Connect again");
    } else if (state.final) {
      this.#tell("The room hung up", `Closed with ${Status.describe(state)}.`, "Connect again");
    } else {
      const how = state.opened ? "Closed with" : "The server does not answer:";
      this.#tell("The wire is down", `${how} ${Status.describe(state)}.`, "Try now");
      this.#tick(state.retryAt);
      this.#ticker = setInterval(() => this.#tick(state.retryAt), 100);
    }
  }

  #tick(retryAt) {
    const left = Math.max(0, retryAt - performance.now());
    this.#countdown.textContent = `Next try in ${(left / 1000).toFixed(1)} s`;
  }

  #tell(title, text, button) {
    this.#title.textContent = title;
    this.#text.textContent = text;
    this.#countdown.textContent = "";
    this.#retry.hidden = !button;
    this.#retry.textContent = button || "";
    this.#notice.hidden = false;
  }
}
