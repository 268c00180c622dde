// The connection: it is made once, comes back by itself, and goes on where it
// was. It knows nothing of the page.

const firstWait = 500; // ms, doubled with each try
const longestWait = 30_000;
const steady = 10_000; // a connection that held for so long starts the waits over
const lastLines = 100; // asked for when there is nothing to go on from

// What a close code asks for.
const stayAway = new Set([1000, 4003, 4004, 4009]);

export class Stream {
  #hear; // {state(name, detail), frame(object), line(line), closed(code, reason, stays)}
  #socket = null;
  #wanted = false;
  #name = "";
  #tries = 0;
  #timer = 0;
  #held = 0;
  #told = false; // the server said when to come back
  #position = ""; // epoch:seq of the newest line
  #seq = 0;
  #client = random(); // by which the server knows our own lines, as long as this page lives
  #sent = []; // lines under way on this connection; the n-th is what the server calls n
  #unsent = []; // lines that wait for a connection

  constructor(hear) {
    this.#hear = hear;
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#timer && this.#hear.state("offline"));
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get name() { return this.#name; }
  get wanted() { return this.#wanted; }
  get open() { return this.#socket?.readyState === WebSocket.OPEN; }

  // subscribe connects under a name. Once is enough: again does nothing, but
  // with another name it begins anew.
  subscribe(name) {
    const same = name === this.#name;
    this.#name = name;
    this.#wanted = true;
    if (this.#socket && same) return;
    this.#tries = 0;
    this.#drop();
    this.#connect();
  }

  unsubscribe() {
    this.#wanted = false;
    const was = this.#socket || this.#timer;
    this.#drop();
    if (was) this.#hear.closed(1000, "", true);
    this.#hear.state("closed");
  }

  // say speaks a line, as soon as there is a connection. What becomes of it is
  // told with hear.line, in line.state: waiting, sent, stored, unsure, refused.
  say(line) {
    this.#unsent.push(line);
    this.#tell(line, "waiting");
    this.#flush();
  }

  // #drop lets go of a connection without a word of it.
  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#held);
    this.#timer = this.#held = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
    this.#lose();
  }

  #connect() {
    this.#hear.state("connecting");
    const url = new URL("websocket", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const q = url.searchParams;
    for (const [k, v] of Object.entries({ format: "json", presence: 1, acks: 1, epoch: 1, close_reason: 1, client: this.#client })) q.set(k, v);
    if (this.#name) q.set("name", this.#name);
    if (this.#position) q.set("after", this.#position);
    else q.set("last", lastLines);
    const socket = (this.#socket = new WebSocket(url.href)); // the URL's text: older browsers take nothing else
    socket.onmessage = (e) => this.#frame(JSON.parse(e.data));
    socket.onclose = (e) => this.#ended(e.code, e.reason);
  }

  // #begun is told by the first frame: a refusal opens a socket too.
  #begun() {
    if (this.#held) return;
    this.#held = setTimeout(() => (this.#tries = 0), steady);
    this.#hear.state("open");
    this.#flush();
  }

  #frame(f) {
    this.#begun();
    switch (f.kind) {
      case "line":
      case "notice":
        this.#reached(f.seq, f.epoch);
        break;
      case "ack":
        if (f.seq === this.#seq + 1) this.#reached(f.seq, f.epoch); // nothing of others is in between
        this.#settle(f, "stored");
        return;
      case "error":
        this.#settle(f, "refused");
        return;
    }
    this.#hear.frame(f);
  }

  #reached(seq, epoch) {
    this.#seq = seq;
    this.#position = `${epoch}:${seq}`;
  }

  #settle(f, state) {
    const line = this.#sent[f.line - 1];
    if (!line) return;
    this.#sent[f.line - 1] = null;
    line.code = f.code;
    line.time = f.time;
    this.#tell(line, state);
  }

  #flush() {
    if (!this.open || !this.#held) return;
    for (const line of this.#unsent.splice(0)) {
      this.#socket.send(line.text);
      this.#sent.push(line);
      this.#tell(line, "sent");
    }
  }

  #tell(line, state) {
    line.state = state;
    this.#hear.line(line);
  }

  // #lose gives up on what is under way: only the server knows what became of it.
  #lose() {
    const lost = this.#sent.filter(Boolean);
    this.#sent = [];
    for (const line of lost) this.#tell(line, "unsure");
  }

  #ended(code, reason) {
    this.#socket = null;
    clearTimeout(this.#held);
    this.#held = 0;
    this.#lose();
    if (stayAway.has(code)) this.#wanted = false;
    this.#hear.closed(code, reason, !this.#wanted);
    if (!this.#wanted) {
      this.#hear.state("closed");
      return;
    }
    if (code === 4010) this.#position = "";
    const asked = /retry-after-ms=(\d+)/.exec(reason);
    this.#told = asked !== null;
    const wait = asked ? Number(asked[1]) + Math.random() * 250 : backOff(this.#tries++);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#connect();
    }, wait);
    if (navigator.onLine) this.#hear.state("waiting", { at: Date.now() + wait });
    else this.#hear.state("offline");
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

// backOff spreads those who lost the same server over time.
function backOff(tries) {
  const most = Math.min(longestWait, firstWait * 2 ** tries);
  return most / 2 + (Math.random() * most) / 2;
}

function random() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
