// The page: what is said, who is here, and a line of one's own. Whatever comes
// from others is put in as text, never as HTML.

import { Stream } from "./stream.js";
import * as words from "./words.js";

const most = 500; // lines shown; older ones make room
const together = 2 * 60_000; // ms within which lines of one person stand together
const $ = (id) => document.getElementById(id);
const { publish, limit } = document.documentElement.dataset;

const settings = {
  get: (key) => { try { return localStorage.getItem("kabar." + key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem("kabar." + key, value); } catch { /* not kept, then */ } },
};

// make makes an element with a class and a text.
function make(tag, name, text) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
}

// write gives an element a text of the page, which it keeps in each language.
function write(e, key, values) {
  e.dataset.t = key;
  e.values = values;
  e.textContent = words.say(key, values);
  return e;
}

// show shows a text of the page in an element, or hides the element.
function show(e, key, values) {
  e.hidden = !key;
  if (key) write(e, key, values);
}

function translate() {
  document.documentElement.lang = words.language;
  for (const e of document.querySelectorAll("[data-t]")) write(e, e.dataset.t, e.values);
  for (const e of document.querySelectorAll("[data-t-placeholder]")) e.placeholder = words.say(e.dataset.tPlaceholder);
  for (const e of document.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", words.say(e.dataset.tLabel));
  for (const e of document.querySelectorAll("time")) e.textContent = e.dataset.day ? words.calendar(e.date) : words.clock(e.date);
  for (const b of $("languages").children) b.setAttribute("aria-pressed", b.dataset.language === words.language);
  people.draw();
}

// ---- what was said ----

const log = {
  last: null, // {who, at, day} of the newest line
  shown: new Set(), // ids: after a restore of the server some come again
  bottom: true,

  put(item) {
    const list = $("lines");
    list.append(item);
    $("empty").hidden = true;
    while (list.childElementCount > most) list.firstElementChild.remove();
    if (this.bottom) this.down();
    else $("newer").hidden = false;
  },

  down() {
    $("log").scrollTop = $("log").scrollHeight;
    $("newer").hidden = true;
  },

  note(key, values) {
    this.last = this.last && { ...this.last, who: null };
    this.put(write(make("li", "note"), key, values));
  },

  stamp(date, name) {
    const t = make("time", name, words.clock(date));
    t.date = date;
    t.dateTime = date.toISOString();
    t.title = date.toLocaleString();
    return t;
  },

  // today begins a day.
  today(date) {
    const day = date.toDateString();
    if (this.last?.day === day) return;
    if (this.last || day !== new Date().toDateString()) {
      const t = make("time", "", words.calendar(date));
      t.date = date;
      t.dataset.day = "1";
      const li = make("li", "day");
      li.append(t);
      this.put(li);
    }
    this.last = { who: null, at: 0, day };
  },

  // line shows a line, and returns its element.
  line(kind, from, text, date) {
    this.today(date);
    const who = kind + "/" + from;
    const goes = who === this.last.who && date - this.last.at < together;
    this.last = { ...this.last, who, at: +date };
    const li = make("li", kind + (goes ? " goes" : ""));
    if (!goes) {
      if (kind === "line") li.append(avatar(from));
      const head = make("p", "who");
      head.append(kind === "notice" ? write(make("b"), "server") : from ? make("b", "", from) : write(make("b", "nameless"), "somebody"));
      head.append(" ", this.stamp(date));
      li.append(head);
    }
    const p = make("p", "text", text);
    p.dir = "auto";
    p.title = date.toLocaleString();
    li.append(p);
    this.put(li);
    return li;
  },
};

// avatar is the first letter of a name, in a colour that is always the name's.
function avatar(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  const letter = Array.from(name.trim())[0] ?? "·";
  const e = make("span", name ? "face f" + (hash % 8) : "face", letter.toUpperCase());
  e.setAttribute("aria-hidden", "true");
  return e;
}

// plain is the stream as every WebSocket client sees it.
function plain(text) {
  const area = $("msg");
  const bottom = area.scrollHeight - area.scrollTop - area.clientHeight < 24;
  area.value = (area.value + "\n" + text).slice(-100_000);
  if (bottom) area.scrollTop = area.scrollHeight;
}

// ---- who is here ----

const people = {
  names: null, // a Set; null while nothing is known
  count: 0,

  heard(f) {
    this.count = f.count;
    if (f.kind === "here") this.names = new Set(f.names);
    const fresh = f.names.filter((n) => n !== stream.name && (f.kind === "left") === this.names.has(n));
    for (const n of f.names) f.kind === "left" ? this.names.delete(n) : this.names.add(n);
    if (f.kind !== "here" && fresh.length) log.note(f.kind, { names: fresh.length > 4 ? [...fresh.slice(0, 3), "…"] : fresh });
    this.draw();
  },

  gone() {
    this.names = null;
    this.draw();
  },

  draw() {
    const known = this.names !== null;
    $("nobody").hidden = known;
    $("count").hidden = !known;
    $("count").value = this.count;
    $("names").replaceChildren();
    $("others").hidden = true;
    if (!known) return;
    const sorted = [...this.names].sort((a, b) => a.localeCompare(b, words.language));
    for (const name of sorted) {
      const li = make("li");
      const label = make("span", "", name);
      label.dir = "auto";
      li.append(avatar(name), label);
      if (name === stream.name) li.append(" ", write(make("small"), "you"));
      $("names").append(li);
    }
    const more = this.count - this.names.size;
    if (more > 0) show($("others"), this.names.size ? "others" : "crowd", { n: more });
  },
};

// ---- the connection ----

let lost = false; // it was there, and is not
let ticking = 0;

function state(name, detail) {
  clearInterval(ticking);
  document.body.dataset.state = name;
  $("leave").hidden = !stream.wanted;
  const text = $("state").firstElementChild;
  write($("told"), name === "waiting" ? "closed" : name); // to those who listen, without the seconds
  if (name === "waiting") {
    const tick = () => write(text, name, { n: Math.max(1, Math.ceil((detail.at - Date.now()) / 1000)) });
    tick();
    ticking = setInterval(tick, 1000);
    return;
  }
  write(text, name);
  if (name === "open") {
    if (lost) log.note("noteOpen");
    else if (!$("lines").childElementCount) show($("empty"), "quiet");
    lost = false;
  }
}

function closed(code, reason, stays) {
  if (!lost) {
    plain("Connection closed");
    if ($("lines").childElementCount) log.note("noteClosed");
  }
  lost = !stays;
  people.gone();
  trouble(code, reason);
  if (code === 4010) log.note("noteMissed");
}

// trouble says in words what a close code means for the reader.
function trouble(code, reason) {
  const named = stream.name !== "";
  const texts = {
    4001: "loginEnded",
    4003: named ? "nameHeld" : "pageRefused",
    4004: named ? "nameBad" : "queryRefused",
    4009: "replaced",
    4029: "busy",
  };
  show($("trouble"), texts[code]);
  $("trouble").title = reason;
  if ((code === 4003 || code === 4004) && named) $("name").focus();
}

function frame(f) {
  switch (f.kind) {
    case "line":
    case "notice":
      if (log.shown.has(f.id)) return;
      log.shown.add(f.id);
      if (log.shown.size > 2 * most) log.shown.delete(log.shown.values().next().value);
      log.line(f.kind, f.from, f.text, new Date(f.time));
      plain(f.text);
      return;
    case "here":
    case "joined":
    case "left":
      people.heard(f);
      return;
    case "skipped":
      log.note("noteSkipped", { n: f.count });
  }
}

// ---- a line of one's own ----

// fate shows what became of an own line, where that is not what one expects.
function fate(line) {
  line.shown ??= own(line);
  const p = line.shown.querySelector(".fate");
  p.replaceChildren();
  line.shown.dataset.state = line.state;
  switch (line.state) {
    case "waiting":
      p.append(write(make("span"), "sending"));
      break;
    case "unsure": {
      const again = write(make("button"), "again");
      again.type = "button";
      again.onclick = () => stream.say(line);
      p.append(write(make("span"), "unsure"), " ", again);
      break;
    }
    case "refused":
      p.append(write(make("span"), line.code === "NAME_TAKEN" ? "nameHeld" : "unsent"));
      if (line.code === "NOT_ALLOWED") mute();
  }
}

function own(line) {
  const li = log.line("line", line.from, line.text, new Date());
  li.classList.add("mine");
  const p = make("p", "fate");
  p.setAttribute("role", "status");
  li.append(p);
  return li;
}

// mute says why one may not speak, where the line would be written.
function mute() {
  $("speak").hidden = true;
  show($("hint"), { nobody: "nobodySpeaks", accounts: "accountsSpeak" }[publish] ?? "mayNotSpeak");
}

const stream = new Stream({ state, frame, closed, line: fate });

$("join").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("name").value.trim().replace(/\s+/g, " ");
  settings.set("name", name);
  show($("trouble"));
  stream.subscribe(name);
  if (matchMedia("(pointer: fine)").matches && !$("speak").hidden) $("line").focus();
});

$("leave").addEventListener("click", () => {
  stream.unsubscribe();
  $("subscribe").focus();
});

$("speak").addEventListener("submit", (e) => {
  e.preventDefault();
  const text = $("line").value;
  if (!text) return;
  const size = new TextEncoder().encode(text).length;
  if (limit > 0 && size > limit) {
    show($("hint"), "tooLong", { n: size, limit });
    return;
  }
  show($("hint"));
  $("line").value = "";
  if (!stream.wanted) $("join").requestSubmit();
  log.bottom = true;
  stream.say({ text, from: stream.name });
});

$("log").addEventListener("scroll", () => {
  const list = $("log");
  log.bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (log.bottom) $("newer").hidden = true;
});
new ResizeObserver(() => log.bottom && log.down()).observe($("log"));
$("newer").addEventListener("click", () => log.down());

$("languages").addEventListener("click", (e) => {
  const wish = e.target.dataset.language;
  if (!wish) return;
  settings.set("language", wish);
  words.speak(wish);
  translate();
});

$("name").value = settings.get("name") ?? "";
words.speak(settings.get("language"));
translate();
if (publish === "nobody") mute();
if (matchMedia("(max-width: 50rem)").matches) $("people").open = $("plain").open = false;
