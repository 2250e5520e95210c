// The stage: comments fly along the wires, each drawn by a bird. Where motion is not wanted they
// appear in place instead, one below the other, and fade.

import { bird, colour, make, reducedMotion } from "/dom.js";
import { Lanes } from "/lanes.js";

const LANE_PX = 54;
const PX_PER_S = 105;
const MOST_WAITING = 24;
const LOOK_AGAIN_MS = 150;

export class Stage {
  #element;
  #lanes = new Lanes(0);
  #waiting = [];
  #timer = 0;
  #pausedAt = null;
  #lost = 0; // ms spent paused: the stage's clock stands still meanwhile

  constructor(element) {
    this.#element = element;
    new ResizeObserver(() => this.#string()).observe(element);
    this.#string();
    reducedMotion.addEventListener("change", () => this.clear());
  }

  /** Lets a message fly. */
  show({ id, name, text, mine }) {
    if (document.hidden) return; // nobody looks, and nothing would land; it is in the log
    this.#waiting.push(this.#banner(id, name, text, mine));
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift(); // it is in the log
    this.#launch();
  }

  /** Stops everything in the air, or lets it go on. */
  pause(on) {
    if (on === (this.#pausedAt !== null)) return;
    if (on) {
      this.#pausedAt = performance.now();
    } else {
      this.#lost += performance.now() - this.#pausedAt;
      this.#pausedAt = null;
    }
    for (const animation of this.#element.getAnimations({ subtree: true })) {
      if (on) animation.pause();
      else animation.play();
    }
    this.#launch();
  }

  clear() {
    this.#waiting = [];
    this.#element.querySelectorAll(".flight").forEach((flight) => flight.remove());
  }

  #now() {
    return (this.#pausedAt ?? performance.now()) - this.#lost;
  }

  #banner(id, name, text, mine) {
    const words = make("span", "words", make("b", "", name), ` ${text}`);
    const flight = make("div", mine ? "flight mine" : "flight", bird("flying"), words);
    return colour(flight, id);
  }

  #launch() {
    clearTimeout(this.#timer);
    while (this.#pausedAt === null && this.#waiting.length) {
      if (!(reducedMotion.matches ? this.#appear() : this.#fly())) break;
      this.#waiting.shift();
    }
    if (this.#waiting.length && this.#pausedAt === null) {
      this.#timer = setTimeout(() => this.#launch(), LOOK_AGAIN_MS);
    }
  }

  #fly() {
    const flight = this.#waiting[0];
    if (!flight.isConnected) this.#element.append(flight);
    const width = flight.offsetWidth;
    const stage = this.#element.clientWidth;
    const time = Math.min(14, Math.max(6, stage / PX_PER_S)) * 1000;
    const lane = this.#lanes.take(this.#now(), width, stage, time);
    if (lane < 0) return false;
    flight.style.setProperty("--lane", lane);
    flight.classList.add("in-the-air");
    const from = { transform: `translateX(${stage}px)` };
    const to = { transform: `translateX(${-width}px)` };
    flight.animate([from, to], { duration: time, fill: "both" }).onfinish = () => flight.remove();
    return true;
  }

  #appear() {
    const shown = [...this.#element.querySelectorAll(".flight.still")];
    if (shown.length >= this.#lanes.count) shown[0].remove();
    const flight = this.#waiting[0];
    flight.classList.add("still");
    this.#element.append(flight);
    this.#element
      .querySelectorAll(".flight.still")
      .forEach((each, index) => each.style.setProperty("--lane", index));
    flight.addEventListener("animationend", () => flight.remove());
    return true;
  }

  /** Strings as many wires as there is room for. */
  #string() {
    const count = Math.max(2, Math.floor(this.#element.clientHeight / LANE_PX));
    if (count === this.#lanes.count) return;
    this.#lanes.resize(count);
    this.#element.querySelectorAll(".wire").forEach((wire) => wire.remove());
    for (let lane = 0; lane < count; lane++) {
      const wire = make("span", "wire");
      wire.style.setProperty("--lane", lane);
      this.#element.prepend(wire);
    }
  }
}
