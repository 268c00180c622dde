// The page: what the two descriptions say, for people. Whatever comes from the
// server is put in as text, never as HTML.

const words = {
  en: {
    title: "What this server offers",
    language: "Language",
    endpoints: "WebSocket endpoints",
    endpointsAbout: "Each is bound to a process: a frame is its inputs, the answer its outputs.",
    none: "None is published yet.",
    sockets: "The other gateways",
    routes: "HTTP",
    routesAbout: "Most of it needs the administrator's key, as apikey: <key> or Authorization: Bearer <key>.",
    address: "Address",
    copy: "Copy",
    copied: "Copied",
    select: "Selected: copy it by hand",
    empty: "Send an empty request",
    frame: "Frame",
    answer: "Answer",
    unreachable: "The server does not answer. Load the page again later.",
    processes: "Processes and endpoints",
    publishing: "Publishing and reading",
    people: "Accounts and groups",
    server: "The server",
    process: "Process",
    access: "Access",
    anonymous: "everybody",
    users: "every account; POST /auth gives the cookie and the token",
    groups: "accounts of these groups: ",
  },
  id: {
    title: "Yang ditawarkan server ini",
    language: "Bahasa",
    endpoints: "Endpoint WebSocket",
    endpointsAbout: "Masing-masing terikat pada sebuah proses: frame adalah masukannya, jawaban adalah keluarannya.",
    none: "Belum ada yang diterbitkan.",
    sockets: "Gateway lainnya",
    routes: "HTTP",
    routesAbout: "Sebagian besar memerlukan kunci administrator, sebagai apikey: <kunci> atau Authorization: Bearer <kunci>.",
    address: "Alamat",
    copy: "Salin",
    copied: "Tersalin",
    select: "Terpilih: salinlah sendiri",
    empty: "Kirim permintaan kosong",
    frame: "Frame",
    answer: "Jawaban",
    unreachable: "Server tidak menjawab. Muat ulang halaman ini nanti.",
    processes: "Proses dan endpoint",
    publishing: "Menerbitkan dan membaca",
    people: "Akun dan grup",
    server: "Server",
    process: "Proses",
    access: "Akses",
    anonymous: "semua orang",
    users: "semua akun; POST /auth memberi cookie dan token",
    groups: "akun dari grup berikut: ",
  },
};

const $ = (id) => document.getElementById(id);
const stored = () => { try { return localStorage.getItem("kabar.language"); } catch { return null; } };
const wished = [stored(), ...(navigator.languages ?? [])].map((l) => (l ?? "").slice(0, 2).toLowerCase());
let language = wished.find((l) => l in words || l === "in") ?? "en";
if (language === "in") language = "id"; // the older code

function make(tag, name, text) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
}

// write gives an element a text of the page, which it keeps in each language.
function write(e, key) {
  e.dataset.t = key;
  e.textContent = words[language][key];
  return e;
}

function translate() {
  document.documentElement.lang = language;
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = words[language][e.dataset.t];
  for (const e of document.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", words[language][e.dataset.tLabel]);
  for (const b of document.querySelectorAll("[data-language]")) b.setAttribute("aria-pressed", String(b.dataset.language === language));
}

// address shows one that can be copied, wherever the page is read.
function address(text) {
  const row = make("div", "address");
  const field = make("input");
  field.readOnly = true;
  field.value = text;
  field.dataset.tLabel = "address";
  field.setAttribute("aria-label", words[language].address);
  field.addEventListener("focus", () => field.select());
  const button = write(make("button"), "copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch { // no clipboard without TLS
      field.select();
      try { done = document.execCommand("copy"); } catch { /* by hand, then */ }
    }
    write(button, done ? "copied" : "select");
    setTimeout(() => write(button, "copy"), 2000);
  });
  row.append(field, button);
  return row;
}

// example is a value of a schema's type.
function example(schema) {
  if (!schema || schema.const !== undefined) return schema?.const ?? null;
  if (schema.enum) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "string": return "…";
    case "number": case "integer": return 0;
    case "boolean": return true;
    case "array": return [];
    case "object": {
      const all = {};
      for (const [name, s] of Object.entries(schema.properties ?? {})) if (!name.startsWith("$")) all[name] = example(s);
      return all;
    }
  }
  return null;
}

function endpoint(channel, schemas, here) {
  const card = make("article", "card");
  card.append(make("h3", "", channel.address), address(here + channel.address));
  const list = make("dl");
  const access = make("dd");
  if (Array.isArray(channel["x-access"])) {
    access.append(write(make("span"), "groups"), channel["x-access"].join(", "));
  } else {
    write(access, channel["x-access"]);
  }
  list.append(write(make("dt"), "process"), make("dd", "", channel["x-process"]), write(make("dt"), "access"), access);
  for (const [key, message] of [["frame", "in"], ["answer", "out"]]) {
    const name = channel.messages[message].$ref.split("/").pop();
    const line = make("dd");
    line.append(make("code", "", JSON.stringify(example(schemas[name]))));
    list.append(write(make("dt"), key), line);
  }
  const button = write(make("button", "strong"), "empty");
  button.type = "button";
  const answer = make("pre");
  answer.hidden = true;
  answer.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    answer.hidden = false;
    try {
      const res = await fetch(channel.address, { headers: { Accept: "application/json" } });
      const body = await res.text();
      let shown = body;
      try { shown = JSON.stringify(JSON.parse(body), null, 2); } catch { /* as it is, then */ }
      answer.textContent = `GET ${channel.address}\n${res.status} ${res.statusText}\n\n${shown}`;
    } catch {
      answer.textContent = words[language].unreachable;
    }
  });
  card.append(list, button, answer);
  return card;
}

function socket(channel, here) {
  const card = make("article", "card");
  card.append(make("h3", "", channel.title), make("p", "about", channel.description), address(here + channel.address));
  const list = make("dl");
  for (const [name, q] of Object.entries(channel.bindings?.ws?.query?.properties ?? {})) {
    const line = make("dt");
    line.append(make("code", "", name));
    list.append(line, make("dd", "", q.description));
  }
  card.append(list);
  return card;
}

function routes(paths) {
  const tags = { processes: [], publishing: [], people: [], server: [] };
  for (const [path, item] of Object.entries(paths)) {
    for (const [method, op] of Object.entries(item)) tags[op.tags?.[0]]?.push([method.toUpperCase(), path, op.summary]);
  }
  for (const [tag, list] of Object.entries(tags)) {
    if (list.length === 0) continue;
    const card = make("article", "card");
    const lines = make("ul");
    for (const [method, path, summary] of list) {
      const line = make("li");
      line.append(make("b", "", method), make("code", "", path), make("span", "", summary));
      lines.append(line);
    }
    card.append(write(make("h3"), tag), lines);
    $("routes").append(card);
  }
}

async function load() {
  const [sockets, http] = await Promise.all(["/asyncapi.json", "/openapi.json"].map(async (path) => {
    const res = await fetch(path);
    if (!res.ok) throw new Error(path);
    return res.json();
  }));
  const here = (location.protocol === "https:" ? "wss://" : "ws://") + location.host;
  let published = 0;
  for (const channel of Object.values(sockets.channels)) {
    if (channel.messages.push) {
      published++;
      $("endpoints").append(endpoint(channel, sockets.components.schemas, here));
    } else {
      $("sockets").append(socket(channel, here));
    }
  }
  $("none").hidden = published > 0;
  routes(http.paths);
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    language = button.dataset.language;
    try { localStorage.setItem("kabar.language", language); } catch { /* not kept, then */ }
    translate();
  });
}
translate();
load().catch(() => {
  const e = $("trouble");
  e.hidden = false;
  write(e, "unreachable");
});
