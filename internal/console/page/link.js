// A connection that comes back by itself. It knows nothing of the page, nor of
// what is said over it.

import { Refusal } from "./http.js";

const firstWait = 500; // ms, doubled with each try
const longestWait = 30_000;
const steady = 10_000; // a connection that held for so long starts the waits over
const settles = 80; // a refusal opens a socket too, and closes it at once

// What a close code asks for.
const stayAway = new Set([1000, 4001, 4003, 4004, 4009]);

export class Link {
  #address; // async (again) => URL; again: the last one's credential was refused
  #hear; // {state(name, detail), frame(text)}
  #socket = null;
  #wanted = false;
  #tries = 0;
  #renewed = false; // a new credential was asked for, and has not held yet
  #timer = 0;
  #settling = 0;
  #held = 0;
  #told = false; // the server said when to come back
  #attempt = 0; // counts, so that an address that comes too late is not used

  constructor(address, hear) {
    this.#address = address;
    this.#hear = hear;
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get wanted() { return this.#wanted; }
  get open() { return this.#socket?.readyState === WebSocket.OPEN; }

  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#tries = 0;
    this.#renewed = false;
    this.#connect();
  }

  disconnect() {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#drop();
    this.#hear.state("closed", { code: 1000, reason: "" });
  }

  // again connects anew, as what the address is made of has changed.
  again() {
    if (!this.#wanted) return;
    this.#drop();
    this.#tries = 0;
    this.#connect();
  }

  // send gives a text, and says whether there was a connection to give it to.
  send(text) {
    if (!this.open) return false;
    this.#socket.send(text);
    return true;
  }

  #drop() {
    this.#attempt++;
    for (const t of [this.#timer, this.#settling, this.#held]) clearTimeout(t);
    this.#timer = this.#settling = this.#held = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  // #connect makes a connection; refused is how the last one was, where its
  // credential is what was wrong with it.
  async #connect(refused) {
    const attempt = ++this.#attempt;
    this.#hear.state("connecting");
    let url;
    try {
      url = await this.#address(Boolean(refused));
    } catch (e) {
      if (attempt !== this.#attempt) return;
      if (!(e instanceof Refusal)) throw e;
      if (e.status === 0 && e.key === "unreachable" || e.status >= 500 || e.status === 429) this.#wait(1006, "");
      else this.#end(refused ?? { key: e.key, reason: e.key === "refused" ? e.detail : "" });
      return;
    }
    if (attempt !== this.#attempt) return;
    const socket = (this.#socket = new WebSocket(url));
    socket.onopen = () => (this.#settling = setTimeout(() => this.#begun(), settles));
    socket.onmessage = (e) => {
      this.#begun();
      this.#hear.frame(e.data);
    };
    socket.onclose = (e) => this.#closed(e.code, e.reason);
  }

  #begun() {
    clearTimeout(this.#settling);
    if (this.#held) return;
    this.#held = setTimeout(() => ((this.#tries = 0), (this.#renewed = false)), steady);
    this.#hear.state("open");
  }

  #closed(code, reason) {
    this.#socket = null;
    clearTimeout(this.#settling);
    clearTimeout(this.#held);
    this.#held = 0;
    if (code === 4001 && !this.#renewed) {
      this.#renewed = true;
      this.#hear.lost?.(code);
      this.#connect({ code, reason });
      return;
    }
    if (stayAway.has(code)) this.#end({ code, reason });
    else this.#wait(code, reason);
  }

  #end(why) {
    this.#wanted = false;
    this.#hear.state("closed", why);
  }

  #wait(code, reason) {
    this.#hear.lost?.(code);
    const asked = /retry-after-ms=(\d+)/.exec(reason);
    this.#told = asked !== null;
    const most = Math.min(longestWait, firstWait * 2 ** this.#tries++);
    const wait = asked ? Number(asked[1]) + Math.random() * 250 : most / 2 + (Math.random() * most) / 2;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#connect();
    }, wait);
    this.#hear.state("waiting", { code, reason, at: Date.now() + wait });
  }

  // #hurry does not wait any longer, as something has changed for the better,
  // unless it was the server that asked to wait.
  #hurry() {
    if (!this.#timer || this.#told) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#connect();
  }
}
