// feed: one stream of lines for everybody.

import { $ } from "./dom.js";
import { socketAt } from "./http.js";
import { fate, form, Panel } from "./panel.js";
import { session } from "./session.js";

const query = { format: "json", presence: 1, acks: 1, epoch: 1, close_reason: 1 };
const errors = { NOT_ALLOWED: "mayNotSpeak", NAME_TAKEN: "nameHeld", TEXT_TOO_LONG: "textTooLong" };

export class Feed {
  position = ""; // epoch:seq of the newest line
  seq = 0;
  seen = new Set();
  sent = []; // lines of this connection; the n-th is what the server calls n
  client = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

  constructor() {
    this.panel = new Panel("feed", this);
    form($("feed-say"), (text) => this.send(text));
    $("feed-name").addEventListener("change", () => {
      this.panel.shows(this.url());
      this.panel.link.again();
    });
    session.hear.push((user) => {
      $("feed-as").hidden = user !== null;
      this.panel.shows(this.url());
      this.panel.link.again(); // it is somebody else who speaks now
    });
    this.panel.shows(this.url());
  }

  url() {
    const name = session.user ? "" : $("feed-name").value.trim();
    const from = this.position ? { after: this.position } : { last: 20 };
    return socketAt("websocket", { ...query, ...from, name, client: this.client });
  }

  async address() { return this.url(); }

  copied() { return socketAt("websocket", { format: "json", presence: 1, acks: 1, last: 20 }); }

  lost(code) {
    if (code === 4010) this.position = "";
  }

  gone() {
    for (const li of this.sent) fate(li, "unsure", "", true);
    this.sent = [];
  }

  ready() { this.sent = []; }

  send(text) {
    if (!this.panel.link.send(text)) {
      this.panel.note("notOpen");
      return false;
    }
    const li = this.panel.line({ way: "out", whoKey: "youToAll", text, raw: text });
    fate(li, "sending");
    this.sent.push(li);
    return true;
  }

  frame(f, raw) {
    switch (f.kind) {
      case "line":
      case "notice":
        return this.said(f, raw);
      case "ack":
        this.seen.add(f.id);
        if (f.seq === this.seq + 1) this.reached(f); // nothing of others is in between
        fate(this.settled(f), "stored", raw);
        return undefined;
      case "error":
        fate(this.settled(f), "notSent", "", true);
        return this.panel.line({ way: "bad", key: errors[f.code] ?? "errorFrame", text: errors[f.code] ? "" : f.code, raw });
      case "here":
        return this.panel.note(f.names.length ? "feedHere" : "feedCrowd", { n: f.count, names: names(f) }, raw);
      case "joined":
        return this.panel.note("feedJoined", { names: names(f), n: f.count }, raw);
      case "left":
        return this.panel.note("feedLeft", { names: names(f), n: f.count }, raw);
      case "skipped":
        return this.panel.note("feedSkipped", { n: f.count }, raw);
    }
    return this.panel.line({ way: "in", text: raw, raw });
  }

  settled(f) {
    const li = this.sent[f.line - 1];
    this.sent[f.line - 1] = null;
    return li;
  }

  reached(f) {
    this.seq = f.seq;
    this.position = `${f.epoch}:${f.seq}`;
  }

  said(f, raw) {
    this.reached(f);
    if (this.seen.has(f.id)) return;
    this.seen.add(f.id);
    const at = new Date(f.time);
    if (f.kind === "notice") this.panel.line({ way: "in notice", whoKey: "notice", text: f.text, raw, at });
    else if (f.from) this.panel.line({ way: "in", who: f.from, text: f.text, raw, at });
    else this.panel.line({ way: "in", whoKey: "somebody", text: f.text, raw, at });
  }
}

function names(f) {
  return f.names.length > 6 ? [...f.names.slice(0, 5), "…"].join(", ") : f.names.join(", ") || "–";
}
