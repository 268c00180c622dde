// The page where the first administrator makes their account.

import { $, begin, plain, tell, write } from "./dom.js";
import { call, Refusal } from "./http.js";
import { common, setup } from "./texts.js";
import { learn } from "./words.js";

learn(common);
learn(setup);
begin();

const code = new URLSearchParams(location.search).get("code");
const texts = { SETUP_INVALID: "spent", ALREADY_REGISTERED: "registered" };

// only leaves nothing on the page but this.
function only(key) {
  write($("intro"), key);
  $("setup").hidden = true;
}

if (!code) {
  only("noCode");
} else {
  if (matchMedia("(pointer: fine)").matches) $("email").focus();
  call("GET", `v1/setup?code=${encodeURIComponent(code)}`, undefined, { texts }).catch((e) => {
    if (e.key === "spent") only("spent");
  });
}

$("setup").addEventListener("submit", async (e) => {
  e.preventDefault();
  tell($("trouble"));
  if ($("password").value !== $("again").value) {
    tell($("trouble"), "different");
    $("again").focus();
    return;
  }
  const [email, name, password] = ["email", "name", "password"].map((f) => $(f).value);
  const button = e.submitter ?? $("setup").querySelector("button");
  button.disabled = true;
  try {
    const a = await call("POST", "v1/setup", { code, email, name, password }, { texts });
    history.replaceState(null, "", location.pathname); // the code is spent
    $("setup").hidden = $("intro").hidden = true;
    tell($("done"), a.session ? "done" : "doneOut", { name: a.user.name });
    $("go").hidden = false;
    $("go").firstElementChild.focus();
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    if (e.key === "refused") plain($("trouble"), e.detail);
    else tell($("trouble"), e.key);
  } finally {
    button.disabled = false;
  }
});
