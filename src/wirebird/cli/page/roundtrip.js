// The round-trip time, measured with the room's own ping: browsers send no protocol pings. It is
// the time until the page hears the answer, so it includes what the page and the server take.

const EVERY_MS = 2500;
const PATIENCE_MS = 10000;
const KEPT = 48;

export class RoundTrip {
  #room;
  #output;
  #line;
  #times = [];
  #sent = null; // { id, at }
  #id = 0;
  #timer = 0;

  constructor(room, output, line) {
    this.#room = room;
    this.#output = output;
    this.#line = line;
    room.addEventListener("welcome", () => this.#start());
    room.addEventListener("pong", ({ detail }) => this.#answered(detail.id));
    room.addEventListener("state", ({ detail }) => detail.name !== "open" && this.#stop());
    document.addEventListener("visibilitychange", () => (this.#sent = null));
  }

  #start() {
    this.#stop();
    this.#ask();
    this.#timer = setInterval(() => this.#ask(), EVERY_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#sent = null;
    this.#output.textContent = "–";
  }

  #ask() {
    if (document.hidden) return; // timers of hidden tabs are slowed down: nothing to learn
    const now = performance.now();
    if (this.#sent) {
      if (now - this.#sent.at > PATIENCE_MS) {
        this.#room.abandon(`no answer for ${PATIENCE_MS / 1000} s`);
      }
      return;
    }
    this.#sent = { id: ++this.#id, at: now };
    this.#room.send({ type: "ping", id: this.#id });
  }

  #answered(id) {
    if (this.#sent?.id !== id) return;
    const time = performance.now() - this.#sent.at;
    this.#sent = null;
    this.#times.push(time);
    if (this.#times.length > KEPT) this.#times.shift();
    this.#output.textContent = time < 10 ? `${time.toFixed(1)} ms` : `${Math.round(time)} ms`;
    this.#draw();
  }

  #draw() {
    const most = Math.max(2, ...this.#times);
    const first = KEPT - this.#times.length;
    const points = this.#times.map((time, index) => {
      const x = ((first + index) / (KEPT - 1)) * 120;
      return `${x.toFixed(1)},${(26 - (time / most) * 24).toFixed(1)}`;
    });
    this.#line.querySelector("polyline").setAttribute("points", points.join(" "));
    const sorted = [...this.#times].sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1].toFixed(1);
    this.#line.setAttribute("aria-label", `The last round-trip times, median ${median} ms`);
  }
}
