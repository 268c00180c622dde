// direct: person to person, with a one-time code for each connection.

import { $, option, write } from "./dom.js";
import { call, socketAt } from "./http.js";
import { every, fate, form, Panel } from "./panel.js";
import { session } from "./session.js";

const ERROR = -1, MESSAGE = 0, INCOMING = 1, NOTIFICATION = 2, REQUEST = 3, ACK = 4, SENT = 5, READ = 6, TYPING = 7, PRESENCE = 8;
const query = { devices: 1, receipts: 1, epoch: 1, close_reason: 1 };

export class Direct {
  names = new Map(); // by user id
  newest = new Map(); // id of the newest message from each friend
  refs = new Map();
  count = 0;
  prefix = Math.random().toString(36).slice(2, 8); // refs are remembered for a day
  position = "";

  constructor() {
    this.panel = new Panel("direct", this);
    const typing = every(2500, () => this.to() && this.panel.say({ type: TYPING, data: { user: this.to() } }, { key: "youType", values: this.whom() }));
    form($("direct-say"), (text) => this.send(text), typing);
    $("direct-read").addEventListener("click", () => this.read());
    session.hear.push((user) => {
      this.position = "";
      this.newest.clear();
      if (user) this.friends().catch((e) => this.panel.failed(e));
      else this.empty();
    });
    document.addEventListener("friends", () => this.friends().catch((e) => this.panel.failed(e)));
    this.empty();
  }

  empty() {
    $("direct-to").replaceChildren(write(option("", ""), "afterLogin"));
    this.panel.shows(socketAt("ws/connect", query) + "&auth=…");
  }

  async code() {
    session.must();
    const { data } = await call("GET", "ws/auth", undefined, { texts: { 401: "loginEnded" } });
    return data.websocketAuthCode;
  }

  async address() { return socketAt("ws/connect", { auth: await this.code(), ...query, after: this.position }); }

  // copied has a code of its own, which nobody has used.
  async copied() { return socketAt("ws/connect", { auth: await this.code(), ...query }); }

  lost(code) {
    if (code === 4010) this.position = "";
    for (const li of this.refs.values()) fate(li, "unsure", "", true);
    this.refs.clear();
  }

  async friends() {
    if (!session.user) return;
    const { data } = await call("GET", "api/friends");
    const was = $("direct-to").value;
    $("direct-to").replaceChildren(...(data ?? []).toSorted((a, b) => a.Username.localeCompare(b.Username)).map((u) => option(u.Id, u.Username)));
    for (const u of data ?? []) this.names.set(u.Id, u.Username);
    if (!data?.length) $("direct-to").append(write(option("", ""), "noFriends"));
    if ([...$("direct-to").options].some((o) => o.value === was)) $("direct-to").value = was;
  }

  to() { return Number($("direct-to").value); }
  whom() { return { whom: $("direct-to").selectedOptions[0]?.textContent ?? "" }; }
  name(id) { return this.names.get(id) ?? String(id ?? ""); }

  send(text) {
    if (!this.to()) {
      this.panel.note(session.user ? "noChat" : "loginFirst");
      return false;
    }
    const ref = `${this.prefix}-${++this.count}`;
    const frame = { type: MESSAGE, ref, data: { to: this.to(), message: text } };
    const li = this.panel.say(frame, { whoKey: "youTo", values: this.whom(), text });
    if (!li) return false;
    fate(li, "sending");
    this.refs.set(ref, li);
    return true;
  }

  read() {
    const id = this.newest.get(this.to());
    if (!id) return this.panel.note("nothingToRead");
    return this.panel.say({ type: READ, data: { user: this.to(), id } }, { key: "youRead", values: this.whom() });
  }

  frame(f, raw) {
    if (f.epoch && f.seq) this.position = `${f.epoch}:${f.seq}`;
    const d = f.data ?? {};
    const at = d.time ? new Date(d.time) : new Date();
    const who = this.name(d.from ?? d.user);
    switch (f.type) {
      case ERROR:
        return this.refused(d, raw);
      case INCOMING:
        this.newest.set(d.from, d.id);
        return this.panel.line({ way: "in", who, text: d.message, raw, at });
      case NOTIFICATION:
        if (["accepted", "unfriended"].includes(d.kind)) document.dispatchEvent(new Event("friends"));
        return this.panel.line({ way: "in notice", whoKey: "notice", text: d.message, raw, at });
      case REQUEST:
        return this.panel.note("directAsked", { who }, raw);
      case ACK:
        fate(this.refs.get(d.ref), "stored", raw);
        this.refs.delete(d.ref);
        return undefined;
      case SENT:
        return this.panel.line({ way: "out", whoKey: "youElsewhere", values: { whom: this.name(d.to) }, text: d.message, raw, at });
      case READ:
        return this.panel.note("relayRead", { who }, raw);
      case TYPING:
        return this.typing(d, who, raw);
      case PRESENCE:
        return this.panel.note(d.online ? "isHere" : "isGone", { who }, raw);
    }
    return this.panel.line({ way: "in", text: raw, raw });
  }

  typing(d, who, raw) {
    const kind = `typing ${d.user}`;
    if (this.panel.list.lastElementChild?.dataset.kind === kind) return;
    this.panel.note("relayTyping", { who }, raw).dataset.kind = kind;
  }

  refused(d, raw) {
    if (this.refs.has(d.ref)) {
      fate(this.refs.get(d.ref), "notSent", "", true);
      this.refs.delete(d.ref);
    }
    const known = { NOT_FRIENDS: "notReachable", TEXT_TOO_LONG: "textTooLong" }[d.code];
    this.panel.line({ way: "bad", key: known ?? "errorFrame", text: known ? "" : d.message, raw });
  }
}
