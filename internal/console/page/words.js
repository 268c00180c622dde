// Words in the pages' two languages. A page brings its own; {name} is filled in.

const known = { en: {}, id: {} };

export let language = "en";

let time, moment, plural;

// learn adds a page's words: {en: {key: text}, id: {key: text}}.
export function learn(more) {
  for (const l in known) Object.assign(known[l], more[l]);
}

// speak chooses the language, or the browser's wish.
export function speak(wish) {
  const wishes = [wish, ...(navigator.languages ?? [navigator.language])];
  const tags = wishes.map((w) => (w ?? "").toLowerCase().split("-")[0]).map((w) => (w === "in" ? "id" : w));
  language = tags.find((w) => w in known) ?? "en";
  const place = language === "en" ? [navigator.language, "en"] : "id";
  time = new Intl.DateTimeFormat(place, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  moment = new Intl.DateTimeFormat(place, { dateStyle: "full", timeStyle: "long" });
  plural = new Intl.PluralRules(language);
}

// has says whether there is such a text.
export const has = (key) => key in known[language];

// say is a text of the page. Of those with a number, n chooses the form.
export function say(key, values = {}) {
  let text = known[language][key] ?? known.en[key] ?? key;
  if (typeof text === "object") text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

// Times, in the reader's zone.
export const clock = (date) => time.format(date);
export const calendar = (date) => moment.format(date);
