// The tab's connection to the room: opens it, keeps it open, and speaks its JSON.
//
// Events: "state" (detail: the state, see `state`), and one for each type of message that the
// server sends: welcome, joined, left, renamed, said, pong, error (detail: the message).

import { delayBefore } from "/backoff.js";

// After these codes the same thing would happen again: a person should decide.
const FINAL_CODES = new Set([1002, 1003, 1007, 1008, 1009]);

export class Room extends EventTarget {
  #url;
  #name;
  #socket = null;
  #timer = 0;
  #attempt = 0;

  /**
   * name: connecting, open, closing or closed; code and reason: of the Close; retryAt: when the
   * next try is, by performance.now(), or 0; final: there will be none; opened: it was open
   * before; byUser: the user asked for it.
   */
  state = { name: "closed", code: 0, reason: "", retryAt: 0, final: false };

  /** @param url ws:// or wss:// of the room  @param name returns the name to join under */
  constructor(url, name) {
    super();
    this.#url = url;
    this.#name = name;
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => this.#hurry());
  }

  get url() {
    return this.#url;
  }

  get isOpen() {
    return this.state.name === "open";
  }

  connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    const url = new URL(this.#url);
    const name = this.#name();
    if (name) url.searchParams.set("name", name);
    const socket = (this.#socket = new WebSocket(url));
    this.#enter("connecting");
    socket.onopen = () => this.#enter("open");
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason, true);
  }

  /** Closes the connection for good; `connect` opens a new one. */
  disconnect() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (!socket) {
      this.#enter("closed", { ...this.state, retryAt: 0, final: true });
      return;
    }
    socket.onclose = ({ code, reason }) => this.#closed(code, reason, false);
    this.#enter("closing", { code: 1000 });
    socket.close(1000, "until next time");
  }

  /** Gives up on a connection that answers nothing, without waiting for its end. */
  abandon(reason) {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(4000, reason);
    this.#closed(1006, reason, true);
  }

  /** Sends a message; false when the connection is not open. */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #hear(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not of this room
    }
    // Only now: a server that accepts and hangs up must not be asked again at once.
    if (message.type === "welcome") this.#attempt = 0;
    this.#emit(message.type, message);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #closed(code, reason, again) {
    this.#socket = null;
    const opened = this.state.name !== "connecting";
    const final = !again || FINAL_CODES.has(code);
    let retryAt = 0;
    if (!final) {
      const delay = delayBefore(this.#attempt++);
      retryAt = performance.now() + delay;
      this.#timer = setTimeout(() => this.connect(), delay);
    }
    this.#enter("closed", { code, reason, retryAt, final, opened, byUser: !again });
  }

  #hurry() {
    const waiting = this.state.name === "closed" && !this.state.final;
    if (waiting && navigator.onLine && !document.hidden) this.connect();
  }

  #enter(name, more = {}) {
    this.state = { code: 0, reason: "", retryAt: 0, final: false, ...more, name };
    this.#emit("state", this.state);
  }
}
