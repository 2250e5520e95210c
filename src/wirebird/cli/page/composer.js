// The message box. What was typed is never lost: it stays while there is no connection, and it
// comes back when a message was refused, or the connection ended before it was heard.

import { memory } from "/dom.js";

export class Composer {
  #room;
  #form;
  #input;
  #note;
  #unheard = []; // { text, at }: sent, and not yet heard back
  #restored = null;

  constructor(room, form) {
    this.#room = room;
    this.#form = form;
    this.#input = form.elements.text;
    this.#note = form.querySelector(".compose-note");
    this.#input.value = memory.get("draft");
    this.#input.addEventListener("input", () => this.#changed());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    room.addEventListener("state", ({ detail }) => detail.name === "closed" && this.#takeBack());
    room.addEventListener("error", ({ detail }) => this.#refused(detail));
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  /** A message of this tab was heard by everybody, itself too. */
  heard() {
    this.#unheard.shift();
    this.#say("");
  }

  /** After a reconnection: what the room heard after all need not be said again. */
  compare(history) {
    if (this.#restored === null || this.#input.value !== this.#restored.text) return;
    const { text, at } = this.#restored;
    this.#restored = null;
    if (history.some((said) => said.text === text && said.at > at - 60000)) {
      this.#set("");
      this.#say("");
    }
  }

  #submit() {
    const text = this.#input.value.trim();
    if (!text) return;
    if (!this.#room.send({ type: "say", text })) {
      this.#say("Not connected: your draft is kept.");
      return;
    }
    this.#unheard.push({ text, at: Date.now() });
    this.#set("");
  }

  #refused({ about, text }) {
    if (about !== "say") return;
    const refused = this.#unheard.shift();
    if (refused) this.#putBack([refused]);
    this.#say(text);
  }

  #takeBack() {
    const unheard = this.#unheard;
    this.#unheard = [];
    if (!unheard.length) return;
    if (unheard.length === 1 && !this.#input.value) this.#restored = unheard[0];
    this.#putBack(unheard);
    this.#say("The connection ended before this was heard: it is your draft again.");
  }

  #putBack(messages) {
    const texts = [...messages.map(({ text }) => text), this.#input.value];
    this.#set(texts.filter(Boolean).join(" "));
  }

  #set(text) {
    this.#input.value = text;
    this.#changed();
  }

  #changed() {
    const text = this.#input.value;
    memory.set("draft", text);
    const left = this.#input.maxLength - text.length;
    this.#say(left < 40 ? `${left} characters left` : "");
  }

  #say(text) {
    if (this.#note.textContent !== text) this.#note.textContent = text;
  }
}
