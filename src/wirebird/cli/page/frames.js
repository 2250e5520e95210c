// The frames of the tab's connection, as the server saw them: pings, pongs, fragments and the
// closing handshake too, which browsers hide. They come over a WebSocket of their own, which is
// not shown.
//
// Events: "frames" (detail: records, oldest first), "missed" (detail: how many).

const TRIES = 4;
const AGAIN_MS = 500;

export class FrameFeed extends EventTarget {
  #url;
  #socket = null;
  #key = null;
  #after = 0;
  #tries = 0;
  #timer = 0;

  constructor(url) {
    super();
    this.#url = url;
  }

  /** Follows a new connection. */
  follow(key) {
    clearTimeout(this.#timer);
    if (this.#socket) this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket?.close(1000);
    this.#socket = null;
    this.#key = key;
    this.#after = 0;
    this.#tries = 0;
    this.#open();
  }

  #open() {
    const url = new URL(this.#url);
    url.searchParams.set("key", this.#key);
    url.searchParams.set("after", this.#after);
    const socket = (this.#socket = new WebSocket(url));
    socket.onmessage = ({ data }) => {
      this.#tries = 0;
      const { frames, missed } = JSON.parse(data);
      this.#after = frames.at(-1).seq;
      if (missed) this.dispatchEvent(new CustomEvent("missed", { detail: missed }));
      this.dispatchEvent(new CustomEvent("frames", { detail: frames }));
    };
    socket.onclose = ({ code }) => {
      // 1000: all was told. 1008: the connection is gone, and its frames with it.
      if (code === 1000 || code === 1008 || ++this.#tries >= TRIES) return;
      this.#timer = setTimeout(() => this.#open(), AGAIN_MS * this.#tries);
    };
  }
}
