// The page of the demo's receiver: what it got, the newest first. It asks again
// and again, as long as somebody looks.

import { $, begin, make, stamp, tell, write } from "../../_console/dom.js";
import { learn } from "../../_console/words.js";

learn({
  en: {
    language: "Language", title: "A receiver of webhooks", goOn: "Try the gateways", received: "Received",
    about: "Every event of the demo's instance is posted here, signed.",
    none: "Nothing yet. An event comes every three seconds.", lost: "The server cannot be reached.",
    verified: "✓ signature holds", refused: "✗ refused", again: "came before",
  },
  id: {
    language: "Bahasa", title: "Penerima webhook", goOn: "Coba gerbangnya", received: "Diterima",
    about: "Setiap peristiwa instans demo dikirim ke sini, bertanda tangan.",
    none: "Belum ada apa-apa. Ada peristiwa setiap tiga detik.", lost: "Server tidak dapat dijangkau.",
    verified: "✓ tanda tangan sah", refused: "✗ ditolak", again: "pernah datang",
  },
});
begin();

const every = 2000; // ms
const shown = new Map(); // by id and time

function item(e) {
  const li = make("li");
  const p = make("p");
  p.append(make("b", "mono", e.body?.event ?? "?"), write(make("span", `mark ${e.verified}`), e.verified ? "verified" : "refused"));
  if (e.again) p.append(write(make("span", "seq"), "again"));
  if (e.body?.seq) p.append(make("span", "seq", `seq ${e.body.seq}`));
  if (e.why) p.append(make("span", "seq", e.why));
  p.append(stamp(new Date(e.time)));
  li.append(p, make("pre", "", typeof e.body === "object" ? JSON.stringify(e.body?.data ?? e.body) : String(e.body)));
  li.title = e.id;
  return li;
}

async function look() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", look, { once: true });
    return;
  }
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "application/json" } });
    const { received } = await answer.json();
    const keys = received.map((e) => `${e.id} ${e.time}`);
    $("received").replaceChildren(...received.map((e, i) => shown.get(keys[i]) ?? shown.set(keys[i], item(e)).get(keys[i])));
    for (const key of shown.keys()) if (!keys.includes(key)) shown.delete(key);
    $("none").hidden = received.length > 0;
    tell($("lost"));
  } catch {
    tell($("lost"), "lost");
  }
  setTimeout(look, every);
}
look();
