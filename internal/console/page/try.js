// The page where somebody logs in once, and uses each gateway by hand.

import { $, begin, tell, write } from "./dom.js";
import { learn } from "./words.js";
import { common, texts } from "./texts.js";
import * as login from "./session.js";
import { Relay } from "./relay.js";
import { Direct } from "./direct.js";
import { Bot } from "./bot.js";
import { Feed } from "./feed.js";
import { Events } from "./events.js";

learn(common);
learn(texts);
begin();

const { demo, publish } = document.documentElement.dataset;

// What the address brings stands behind its #, which no server sees. It is
// taken away, so that it does not stay in the history.
const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
if (location.hash) history.replaceState(null, "", location.pathname + location.search);

login.begin(given);
const bot = new Bot();
const panels = [new Relay(), new Direct(), bot, new Feed(), new Events(given)].map((g) => g.panel);

// The one button connects whatever can be, or disconnects everything.
function draw() {
  const any = panels.some((p) => p.link.wanted);
  write($("all"), any ? "disconnectAll" : "connectAll");
  $("all").classList.toggle("strong", !any);
}

$("all").addEventListener("click", () => {
  const any = panels.some((p) => p.link.wanted);
  for (const p of panels) any ? p.link.disconnect() : p.link.connect();
});

draw();
document.addEventListener("panels", draw);
$("demo-hint").hidden = $("events-hook").hidden = demo !== "true";
$("events-hint").hidden = demo !== "true" || Boolean(given.token);
if (publish !== "anyone") tell($("feed-hint"), publish === "nobody" ? "nobodySpeaks" : "accountsSpeak");
bot.load();
await login.look().catch(() => login.session.set(null));
if (!login.session.user && matchMedia("(pointer: fine)").matches) $(given.password ? "log-in" : "login-name").focus();
document.body.dataset.ready = "1";
