// Which lane a comment flies on, so that none touches another. Pure: it is told the time.
//
// A comment of width w crosses a stage of width W in time T, from its head at the right edge to
// its tail at the left one: at speed (W + w) / T, so that long ones are faster. It may follow on
// a lane when the one before has wholly entered, and will have left before the new head arrives:
// speeds are constant, so what holds at both ends holds in between.

export class Lanes {
  #lanes = [];

  /** @param count how many lanes  @param gap least distance between two, in pixels */
  constructor(count, gap = 24) {
    this.gap = gap;
    this.resize(count);
  }

  get count() {
    return this.#lanes.length;
  }

  /** Changes how many lanes there are; what flies on those that stay goes on. */
  resize(count) {
    while (this.#lanes.length < count) this.#lanes.push({ start: -Infinity, width: 0, time: 0 });
    this.#lanes.length = count;
  }

  /**
   * Takes the lane that was used longest ago among those that are free.
   *
   * @param now the time, in ms  @param width of the comment  @param stage width of the stage
   * @param time how long the crossing takes, in ms
   * @returns the lane's number, or -1 when a comment would touch another on each of them
   */
  take(now, width, stage, time) {
    let best = -1;
    this.#lanes.forEach((lane, index) => {
      if (!this.#isFree(lane, now, width, stage, time)) return;
      if (best < 0 || lane.start < this.#lanes[best].start) best = index;
    });
    if (best >= 0) this.#lanes[best] = { start: now, width, time };
    return best;
  }

  #isFree(lane, now, width, stage, time) {
    if (now >= lane.start + lane.time) return true;
    const before = (stage + lane.width) / lane.time;
    const entered = before * (now - lane.start) >= lane.width + this.gap;
    const speed = (stage + width) / time;
    const headWhenItLeft = stage - speed * (lane.start + lane.time - now);
    return entered && headWhenItLeft >= this.gap;
  }
}
