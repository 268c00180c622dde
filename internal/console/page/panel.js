// What all five panels have: a state, an address to copy, what went out and
// what came in.

import { $, make, plain, stamp, write } from "./dom.js";
import { Link } from "./link.js";
import { Refusal } from "./http.js";
import * as words from "./words.js";

const most = 200; // lines kept

export class Panel {
  // gateway has address(again), frame(object, text), and may have ready(),
  // gone() and copied(), which gives the address to copy.
  constructor(id, gateway) {
    this.root = $(id);
    this.gateway = gateway;
    this.ticking = 0;
    this.bottom = true;
    this.of = (name) => this.root.querySelector("." + name);
    this.list = this.of("log ol");
    this.link = new Link((again) => gateway.address(again), {
      state: (name, detail) => this.state(name, detail),
      frame: (text) => this.frame(text),
      lost: (code) => gateway.lost?.(code),
    });
    this.name();
    this.listen();
    this.state("idle");
  }

  get open() { return this.link.open; }

  // name tells those who listen which panel a button belongs to.
  name() {
    const title = this.root.querySelector("h2");
    for (const b of this.root.querySelectorAll(".bar button, .copy")) {
      b.id ||= `${this.root.id}-${b.classList[0]}`;
      b.setAttribute("aria-labelledby", `${b.id} ${title.id}`);
    }
  }

  listen() {
    const log = this.of("log");
    this.of("connect").addEventListener("click", () => (this.link.wanted ? this.link.disconnect() : this.link.connect()));
    this.of("raw").addEventListener("click", (e) => {
      const on = this.root.toggleAttribute("data-raw");
      e.currentTarget.setAttribute("aria-pressed", on);
      if (this.bottom) this.down();
    });
    this.of("clear").addEventListener("click", () => this.list.replaceChildren());
    this.of("copy").addEventListener("click", (e) => this.copy(e.currentTarget));
    log.addEventListener("scroll", () => (this.bottom = log.scrollHeight - log.scrollTop - log.clientHeight < 40));
    const size = new ResizeObserver(() => this.bottom && this.down());
    size.observe(log);
    size.observe(this.list);
    this.list.addEventListener("click", (e) => {
      if (!getSelection().isCollapsed) return; // somebody selects a text
      e.target.closest("li")?.toggleAttribute("data-open");
    });
  }

  // shows puts an address where it can be copied from.
  shows(url) { this.of("url").value = url; }

  async copy(button) {
    const field = this.of("url");
    try {
      if (this.gateway.copied) field.value = await this.gateway.copied();
      field.select();
      // Where the clipboard is out of reach, as on a page without TLS, the
      // selection is what can be copied.
      if (navigator.clipboard) await navigator.clipboard.writeText(field.value);
      else document.execCommand("copy");
      write(button, "copied");
      setTimeout(() => write(button, "copy"), 1500);
    } catch (e) {
      this.failed(e);
    }
  }

  state(name, detail = {}) {
    clearInterval(this.ticking);
    const look = detail.code === 1000 ? "idle" : name; // as asked is no misfortune
    this.root.dataset.state = look;
    for (const chip of document.querySelectorAll(`[data-of=${this.root.id}]`)) chip.dataset.state = look;
    const word = this.of("word");
    write(this.of("connect"), this.link?.wanted ? "disconnect" : "connect");
    this.of("connect").classList.toggle("strong", !this.link?.wanted);
    if (name === "waiting") {
      this.why(detail);
      const tick = () => write(word, "waiting", { n: Math.max(1, Math.ceil((detail.at - Date.now()) / 1000)) });
      tick();
      this.ticking = setInterval(tick, 1000);
    } else if (name === "closed") {
      this.why(detail);
      if (detail.code && detail.code !== 1000) write(word, "closedWith", { code: detail.code });
      else write(word, "notConnected");
    } else {
      write(word, name);
    }
    // To those who listen, without the seconds.
    write(this.of("told"), name === "waiting" ? "lost" : word.dataset.t, word.values);
    if (name === "open") {
      this.note("noteOpen");
      this.gateway.ready?.();
    }
    if (name === "closed" || name === "waiting") this.gateway.gone?.();
    document.dispatchEvent(new Event("panels"));
  }

  // why says in words what a close code means, with what the server said.
  why({ code, key, reason = "" }) {
    const text = key ?? (words.has("close" + code) ? "close" + code : "closeOther");
    const said = /^retry-after-ms=\d+$/.test(reason) ? "" : reason;
    this.line({ way: code === 1000 ? "note" : "bad", key: text, values: { code }, text: said && `“${said}”`, raw: code ? `close ${code} ${reason}`.trim() : "" });
  }

  frame(text) {
    let object = null;
    try {
      object = JSON.parse(text);
    } catch { /* shown as it is */ }
    if (object && typeof object === "object") this.gateway.frame(object, text);
    else this.line({ way: "in", text, raw: text });
  }

  // say sends an object and shows it; silent leaves it to the caller.
  say(object, line) {
    const raw = JSON.stringify(object);
    if (!this.link.send(raw)) {
      this.note("notOpen");
      return null;
    }
    return line ? this.line({ way: "out", raw, ...line }) : null;
  }

  note(key, values, raw = "") { return this.line({ way: "note", key, values, raw }); }

  // failed shows what came of a request that was refused.
  failed(e) {
    if (!(e instanceof Refusal)) throw e;
    this.line({ way: "bad", key: e.key, text: e.key === "refused" ? e.detail : "", raw: e.detail });
  }

  // line shows one thing that went out, came in or happened: who in bold, a text
  // of the page by key or one as it is, and what travelled.
  line({ way, who = "", whoKey = "", text = "", key = "", values, raw = "", at = new Date(), mono = false }) {
    const li = make("li", way === "out" && key ? "out act" : way);
    if (who || whoKey) {
      const head = make("p", "who");
      const b = whoKey ? write(make("b"), whoKey, values) : make("b", mono ? "mono" : "", who);
      b.dir = "auto";
      head.append(b, " ", stamp(at));
      li.append(head);
    }
    const p = make("p", "text");
    p.dir = "auto";
    if (key) p.append(write(make("span"), key, values));
    if (key && text) p.append(" ");
    if (text) p.append(make("span", mono && way === "in" ? "mono" : "", text));
    if (!who && !whoKey) p.append(" ", stamp(at));
    if (key || text) li.append(p);
    if (raw) li.append(make("pre", "", raw));
    this.list.append(li);
    while (this.list.childElementCount > most) this.list.firstElementChild.remove();
    if (this.bottom) this.down();
    return li;
  }

  down() {
    const log = this.of("log");
    log.scrollTop = log.scrollHeight;
  }
}

// fate marks a line that went out: what became of it, in words.
export function fate(li, key, raw = "", bad = false) {
  if (!li) return;
  li.classList.toggle("lost", bad);
  let p = li.querySelector(".fate");
  if (!p) {
    p = make("p", "fate");
    li.lastElementChild.after(p);
  }
  write(p, key);
  if (raw) li.append(make("pre", "", raw));
}

// every runs f at most once in a while.
export function every(ms, f) {
  let last = 0;
  return (...args) => {
    if (Date.now() - last < ms) return;
    last = Date.now();
    f(...args);
  };
}

// form takes what is written in a panel's field when it is sent.
export function form(root, f, typing) {
  const field = root.querySelector("input");
  root.addEventListener("submit", (e) => {
    e.preventDefault();
    if (field.value && f(field.value) !== false) field.value = "";
  });
  if (typing) field.addEventListener("input", () => field.value && typing());
  return { field, plain: (text) => plain(field, text) };
}
