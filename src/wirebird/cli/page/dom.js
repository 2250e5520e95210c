// Elements from plain data. Text goes in as text, never as markup: it comes from strangers.

/** The element with an id, which index.html must have. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/** A new element: a class, texts and elements inside it. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A bird of the sprite in index.html: "perched" or "flying". */
export function bird(which) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", `bird ${which}`);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${which}`);
  svg.append(use);
  return svg;
}

/** Colours an element, and what is in it, for a person: by the golden angle, so that those who
    came one after the other are far apart on the circle of hues. */
export function colour(element, id) {
  element.style.setProperty("--hue", ((id * 137.508) % 360).toFixed(1));
  return element;
}

/** What a tab remembers across reloads; private windows may refuse, and then it does not. */
export const memory = {
  get(key) {
    try {
      return sessionStorage.getItem(`wirebird.${key}`) ?? "";
    } catch {
      return "";
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(`wirebird.${key}`, value);
    } catch {
      // not remembered
    }
  },
};

/** Whether moving things should not move. */
export const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
