// What was said so far, and who came and went. It keeps to its end unless somebody scrolled up.

import { colour, make } from "/dom.js";

const MOST = 200;

export class Log {
  #list;

  constructor(list) {
    this.#list = list;
  }

  /** Starts anew with what was said before this tab came; it is not read aloud. */
  fill(history, isMine) {
    this.#list.setAttribute("aria-live", "off");
    this.#list.replaceChildren();
    for (const said of history) this.said(said, isMine(said));
    requestAnimationFrame(() => this.#list.removeAttribute("aria-live"));
  }

  said({ id, name, text, at }, mine) {
    const date = new Date(at);
    const time = make("time", "", date.toLocaleTimeString([], { timeStyle: "short" }));
    time.dateTime = date.toISOString();
    const who = colour(make("b", "", name), id);
    this.#add(make("li", mine ? "said mine" : "said", time, who, make("span", "text", text)));
  }

  /** A line that nobody said. */
  note(text) {
    this.#add(make("li", "aside", text));
  }

  #add(item) {
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(item);
    while (list.children.length > MOST) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}
