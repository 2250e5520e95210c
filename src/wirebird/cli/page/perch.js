// Who is here: a bird on the top wire for everybody. It hops when its owner speaks.

import { bird, colour, make, reducedMotion } from "/dom.js";

const HOP = [
  { transform: "none" },
  { transform: "translateY(-9px) rotate(-4deg)" },
  { transform: "none" },
  { transform: "translateY(-4px)" },
  { transform: "none" },
];
const LEAVE = [
  { transform: "none", opacity: 1 },
  { transform: "translate(-40px, -60px) rotate(12deg)", opacity: 0 },
];

export class Perch {
  #list;
  #count;
  #birds = new Map(); // id -> li
  #me = 0;

  /** @param list of the birds  @param count says how many there are */
  constructor(list, count) {
    this.#list = list;
    this.#count = count;
  }

  /** Starts anew with those who are here. */
  fill(people, me) {
    this.#me = me;
    this.#birds.clear();
    this.#list.replaceChildren();
    for (const person of people) this.add(person);
    this.#number();
  }

  add({ id, name }) {
    if (this.#birds.has(id)) return;
    const item = make("li", id === this.#me ? "self" : "");
    this.#birds.set(id, item);
    this.#dress(item, id, name);
    this.#list.append(item);
    this.#number();
  }

  rename({ id, name }) {
    const item = this.#birds.get(id);
    if (item) this.#dress(item, id, name);
  }

  remove({ id }) {
    const item = this.#birds.get(id);
    if (!item) return;
    this.#birds.delete(id);
    this.#number();
    if (reducedMotion.matches) {
      item.remove();
      return;
    }
    item.setAttribute("aria-hidden", "true");
    item.querySelector(".bird").animate(LEAVE, { duration: 500, easing: "ease-in" }).onfinish =
      () => item.remove();
  }

  hop(id) {
    const item = this.#birds.get(id);
    if (item && !reducedMotion.matches) {
      item.querySelector(".bird").animate(HOP, { duration: 520, easing: "ease-out" });
    }
  }

  #number() {
    const count = this.#birds.size;
    this.#count.textContent = count ? `${count} here` : "";
  }

  #dress(item, id, name) {
    const label = make("span", "name", name);
    label.title = name;
    item.replaceChildren(bird("perched"), label);
    if (id === this.#me) item.append(make("span", "hidden", " (you)"));
    colour(item, id);
  }
}
