// events: what happens at an instance, for programs that subscribe to it.

import { $ } from "./dom.js";
import { call, Refusal, socketAt } from "./http.js";
import { fate, Panel } from "./panel.js";

export class Events {
  position = "";
  seen = new Set();

  constructor(given) {
    this.panel = new Panel("events", this);
    if (given.token) $("events-token").value = given.token;
    for (const id of ["events-token", "events-names", "events-state"]) {
      $(id).addEventListener("change", () => {
        this.position = "";
        this.seen.clear();
        this.panel.shows(this.url());
        this.panel.link.again();
      });
    }
    $("events-say").addEventListener("submit", (e) => {
      e.preventDefault();
      this.emit().catch((e) => this.panel.failed(e));
    });
    this.panel.shows(this.url());
  }

  token() { return $("events-token").value.trim(); }
  names() { return $("events-names").value.replace(/\s+/g, "") || "*"; }

  // instance is whose token it is, which the token itself says; "" for none.
  instance() {
    try {
      const part = this.token().split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(atob(part)).instanceName ?? "";
    } catch {
      return "";
    }
  }

  url(more) {
    const state = $("events-state").checked ? 1 : "";
    return socketAt("ws/events", { event: this.names(), token: this.token() || "…", state, ...more });
  }

  async address(again) {
    if (again || !this.token()) throw new Refusal(again ? "tokenRefused" : "tokenFirst");
    this.panel.shows(this.url());
    return this.url({ after: this.position, epoch: 1, close_reason: 1 });
  }

  lost(code) {
    if (code === 4010) this.position = "";
  }

  // emit is what an instance's own program does: the token opens this too.
  async emit() {
    const name = this.instance();
    if (!name) throw new Refusal("tokenFirst");
    let data = $("events-data").value;
    try {
      data = JSON.parse(data);
    } catch {
      data = { text: data };
    }
    const event = $("events-name").value.trim();
    const path = `v1/instances/${encodeURIComponent(name)}/events`;
    const li = this.panel.line({ way: "out", who: event, mono: true, text: brief(data), raw: `POST /${path} ${JSON.stringify({ event, data })}` });
    fate(li, "sending");
    try {
      const a = await call("POST", path, { event, data }, { headers: { Authorization: `Bearer ${this.token()}` }, texts: { 401: "tokenRefused" } });
      fate(li, "stored", JSON.stringify(a));
      $("events-data").value = "";
    } catch (e) {
      fate(li, "notSent", "", true);
      throw e;
    }
  }

  frame(f, raw) {
    if (f.epoch && f.seq) this.position = `${f.epoch}:${f.seq}`;
    if (this.seen.has(f.id)) return;
    this.seen.add(f.id);
    const at = f.timestamp ? new Date(f.timestamp) : new Date();
    this.panel.line({ way: "in", who: f.event ?? "?", mono: true, text: brief(f.data ?? f), raw, at });
  }
}

// brief is data in a line.
function brief(data) {
  if (typeof data === "string") return data;
  if (data === null || typeof data !== "object" || Array.isArray(data)) return JSON.stringify(data);
  return Object.entries(data).map(([k, v]) => `${k}: ${typeof v === "string" ? v : JSON.stringify(v)}`).join(", ") || "{}";
}
