// How long to wait before the next try: twice as long each time, up to a limit, and by chance
// between half of that and all of it, so that the tabs of a restarted server do not come at once.

export const FIRST_MS = 600;
export const LONGEST_MS = 15000;

/** The delay in milliseconds before try number `attempt` (0, 1, ...). */
export function delayBefore(attempt, random = Math.random) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(full / 2 + (random() * full) / 2);
}
