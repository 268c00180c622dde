// Making and finding elements. Whatever comes from others is put in as text,
// never as HTML.

import * as words from "./words.js";

export const $ = (id) => document.getElementById(id);

// make makes an element with a class and a text.
export function make(tag, name, text) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
}

// write gives an element a text of the page, which it keeps in each language.
export function write(e, key, values) {
  e.dataset.t = key;
  e.values = values;
  e.textContent = words.say(key, values);
  return e;
}

// tell shows a text of the page in an element, or hides it where there is none.
export function tell(e, key, values) {
  e.hidden = !key;
  if (key) write(e, key, values);
}

// plain shows a text that has no translation.
export function plain(e, text) {
  e.hidden = !text;
  delete e.dataset.t;
  e.textContent = text;
}

// stamp is a time, as the reader's clock shows it.
export function stamp(date) {
  const t = make("time", "", words.clock(date));
  t.date = date;
  t.dateTime = date.toISOString();
  t.title = words.calendar(date);
  return t;
}

// option is an entry of a list to choose from.
export function option(value, text) {
  const o = make("option", "", text);
  o.value = value;
  return o;
}

export const settings = {
  get: (key) => { try { return localStorage.getItem("kabar." + key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem("kabar." + key, value); } catch { /* not kept, then */ } },
};

function translate() {
  document.documentElement.lang = words.language;
  for (const e of document.querySelectorAll("[data-t]")) write(e, e.dataset.t, e.values);
  for (const e of document.querySelectorAll("[data-t-placeholder]")) e.placeholder = words.say(e.dataset.tPlaceholder);
  for (const e of document.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", words.say(e.dataset.tLabel));
  for (const t of document.querySelectorAll("time")) {
    if (!t.date) continue;
    t.textContent = words.clock(t.date);
    t.title = words.calendar(t.date);
  }
  for (const b of $("languages").children) b.setAttribute("aria-pressed", b.dataset.language === words.language);
}

// begin gives the page its words, and lets the reader choose among them.
export function begin() {
  $("languages").addEventListener("click", (e) => {
    const wish = e.target.dataset.language;
    if (!wish) return;
    settings.set("language", wish);
    words.speak(wish);
    translate();
  });
  words.speak(settings.get("language"));
  translate();
}
