// Puts the page together: what the room tells goes to the views, and each knows only its own.

import { byId, colour, memory } from "/dom.js";
import { Composer } from "/composer.js";
import { FrameFeed } from "/frames.js";
import { Log } from "/log.js";
import { Perch } from "/perch.js";
import { Room } from "/room.js";
import { RoundTrip } from "/roundtrip.js";
import { Stage } from "/stage.js";
import { Status } from "/status.js";
import { Tape } from "/tape.js";

function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

const room = new Room(socketUrl("/room"), () => memory.get("name"));
const feed = new FrameFeed(socketUrl("/frames"));
const stage = new Stage(byId("lanes"));
const perch = new Perch(byId("perch"), byId("count"));
const log = new Log(byId("log"));
const tape = new Tape(byId("tape"), byId("tape-sum"));
const composer = new Composer(room, byId("composer"));
new RoundTrip(room, byId("rtt"), byId("spark"));
new Status(room);

let me = 0;
let connections = 0;

function iAm(name) {
  memory.set("name", name);
  byId("me").textContent = name;
  byId("me").setAttribute("aria-label", `You are ${name}. Change your name`);
  if (me) colour(byId("me"), me);
}

function greeting(others) {
  if (!others) return "You are the first here.";
  return others === 1 ? "You came; one other is here." : `You came; ${others} others are here.`;
}

const on = (type, listener) => room.addEventListener(type, ({ detail }) => listener(detail));

on("welcome", ({ you, people, history, frames, limits }) => {
  me = you;
  byId("text").maxLength = limits.text;
  byId("name").maxLength = limits.name;
  const mine = people.find(({ id }) => id === you);
  iAm(mine.name);
  perch.fill(people, you);
  log.fill(history, () => false);
  log.note(greeting(people.length - 1));
  composer.compare(history);
  feed.follow(frames);
  tape.cut(`connection ${++connections}`);
});
on("joined", (person) => {
  perch.add(person);
  log.note(`${person.name} came.`);
});
on("left", (person) => {
  perch.remove(person);
  log.note(`${person.name} left.`);
});
on("renamed", (person) => {
  perch.rename(person);
  if (person.id === me) iAm(person.name);
  log.note(`${person.was} is now ${person.name}.`);
});
on("said", (said) => {
  const mine = said.id === me;
  if (mine) composer.heard();
  byId("hint").hidden = true;
  log.said(said, mine);
  perch.hop(said.id);
  stage.show({ ...said, mine });
});
on("error", ({ about, text }) => {
  if (about !== "say") log.note(text);
});
on("state", (state) => {
  if (state.name !== "closed") return;
  if (me) {
    perch.fill([], 0);
    // The server's word on the last frames may still be under way.
    setTimeout(() => tape.cut(`closed: ${Status.describe(state)}`), 150);
  }
  me = 0;
});

feed.addEventListener("frames", ({ detail }) => tape.add(detail));
feed.addEventListener("missed", ({ detail }) => tape.cut(`${detail} frames not shown`));

/** A button that stays pressed. */
function press(id, action) {
  byId(id).addEventListener("click", ({ currentTarget: button }) => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    action(pressed);
  });
}
press("pause", (on) => stage.pause(on));
press("hold", (on) => tape.hold(on));
press("hide-pings", (on) => tape.hideMeasuring(on));

const dialog = byId("rename");
byId("me").addEventListener("click", () => {
  byId("name").value = memory.get("name");
  dialog.showModal();
  byId("name").select();
});
byId("rename-cancel").addEventListener("click", () => dialog.close());
byId("rename-form").addEventListener("submit", () => {
  const name = byId("name").value.trim();
  if (!name) return;
  if (!room.send({ type: "rename", name })) iAm(name); // then we join under it
});

room.connect();
if (matchMedia("(hover: hover)").matches) composer.focus();
