// The tape: one piece for each frame, the newest first. A piece opens to show the frame's bits.

import { make } from "/dom.js";

const MOST = 120;
const OPCODES = { 0: "CONT", 1: "TEXT", 2: "BINARY", 8: "CLOSE", 9: "PING", 10: "PONG" };
const MEASURING = /^\{\s*"type"\s*:\s*"p[io]ng"/;

export class Tape {
  #list;
  #sum;
  #held = null; // pieces that wait while the tape is held
  #count = { client: 0, server: 0 };
  #bytes = { client: 0, server: 0 };

  constructor(list, sum) {
    this.#list = list;
    this.#sum = sum;
    list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", open);
    });
    this.#total();
  }

  add(records) {
    for (const record of records) {
      this.#count[record.from] += 1;
      this.#bytes[record.from] += record.length;
      this.#put(this.#piece(record));
    }
    this.#total();
  }

  /** A cut in the tape, with a word about it. */
  cut(text) {
    this.#put(make("li", "cut", make("span", "", text)));
  }

  hold(on) {
    if (on) {
      this.#held ??= [];
      return;
    }
    const held = this.#held ?? [];
    this.#held = null;
    for (const piece of held) this.#put(piece);
  }

  hideMeasuring(on) {
    this.#list.classList.toggle("without-measuring", on);
  }

  #put(piece) {
    if (this.#held) {
      this.#held.push(piece);
      if (this.#held.length > MOST) this.#held.shift();
      return;
    }
    const list = this.#list;
    const scrolled = list.scrollLeft;
    list.prepend(piece);
    // Who looks at older pieces goes on seeing them.
    if (scrolled > 8) list.scrollLeft = scrolled + piece.offsetWidth;
    while (list.children.length > MOST) list.lastElementChild.remove();
  }

  #piece({ seq, at, from, opcode, fin, rsv, length, preview }) {
    const sent = from === "client";
    const name = OPCODES[opcode] ?? `0x${opcode.toString(16)}`;
    const way = make("span", "way", sent ? "↑" : "↓");
    way.setAttribute("aria-hidden", "true");
    const spoken = make("span", "hidden", sent ? "sent " : "received ");
    const flag = make("span", fin ? "fin" : "fin unset", "FIN");
    if (!fin) flag.append(make("span", "hidden", " not set"));
    const size = make("span", "length", `${length.toLocaleString("en")} B`);
    const bits = [
      `#${seq}`,
      `FIN ${+fin}`,
      `RSV ${rsv.toString(2).padStart(3, "0")}`,
      `opcode 0x${opcode.toString(16)}`,
      `MASK ${+sent}`,
      `${(at / 1000).toFixed(2)} s`,
    ];
    const button = make(
      "button",
      "",
      make("span", "head", way, spoken, make("span", "opcode", name), size, flag),
      make("span", "preview", preview || "(empty)"),
      make("span", "bits", bits.join(" · ")),
    );
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    const item = make("li", `piece ${from}`, button);
    if (opcode >= 8) item.classList.add("control");
    if (opcode === 1 && MEASURING.test(preview)) item.classList.add("measuring");
    return item;
  }

  #total() {
    const part = (from, sign) =>
      `${sign} ${this.#count[from].toLocaleString("en")} · ${bytes(this.#bytes[from])}`;
    this.#sum.textContent = `${part("client", "↑")}   ${part("server", "↓")}`;
  }
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}
