// Who is logged in: by a password, by a mailed code, or anew. One cookie opens
// all gateways.

import { $, make, plain, tell, write } from "./dom.js";
import { ask, call, Refusal } from "./http.js";

export const session = {
  user: null, // {id, handle, name, email, groups}
  hear: [], // called when it changes

  set(user) {
    this.user = user;
    for (const f of this.hear) f(user);
  },

  // must is who is logged in, or the refusal that nobody is.
  must() {
    if (!this.user) throw new Refusal("loginFirst");
    return this.user;
  },
};

// look asks the server who the cookie belongs to.
export async function look() {
  const a = await ask("GET", "_console/me");
  session.set(a.body?.user ?? null);
}

const forms = ["password", "mail", "register"];

function way(name) {
  for (const f of forms) $(f).hidden = f !== name;
  for (const b of $("ways").children) b.setAttribute("aria-pressed", b.dataset.way === name);
  tell($("trouble"));
}

// submit lets a form do something, once at a time, and shows what is wrong.
function submit(id, f) {
  const form = $(id);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    tell($("trouble"));
    try {
      await f();
    } catch (e) {
      if (!(e instanceof Refusal)) throw e;
      if (e.key === "refused") plain($("trouble"), e.detail);
      else tell($("trouble"), e.key);
    } finally {
      form.ariaBusy = "false";
    }
  });
}

const mailTexts = {
  AUTH_ERR_02: "badAddress", AUTH_ERR_04: "codeWrong", AUTH_ERR_05: "codeExpired",
  AUTH_RATE_LIMIT: "codeLimit", MAIL_FAILED: "mailFailed", ERROR: "badAddress",
};

async function logIn(login, password) {
  await call("POST", "auth", { login, password }, { texts: { WRONG_LOGIN: "wrongLogin" } });
  $("login-password").value = "";
  await look();
}

function draw(user) {
  $("out").hidden = user !== null;
  $("in").hidden = user === null;
  if (!user) return;
  tell($("trouble"));
  $("me-face").replaceChildren(face(user.name));
  plain($("me-name"), user.name);
  const more = [`@${user.handle}`, `id ${user.id}`];
  const groups = user.groups.filter((g) => g !== "Users");
  plain($("me-more"), [...more, ...groups].join(" · "));
}

// begin wires the forms, and fills in what the page's address brings.
export function begin(given) {
  session.hear.push(draw);
  $("ways").addEventListener("click", (e) => e.target.dataset.way && way(e.target.dataset.way));
  submit("password", () => logIn($("login-name").value, $("login-password").value));
  submit("mail", async () => {
    const email = $("mail-address").value;
    if ($("mail-code-field").hidden) {
      await call("POST", "x/auth/sign-in", { email }, { texts: mailTexts });
      $("mail-code-field").hidden = false;
      write($("mail-send"), "logIn");
      $("mail-code").focus();
      return;
    }
    await call("POST", "x/auth/verify", { email, code: $("mail-code").value }, { texts: mailTexts });
    forget();
    await look();
  });
  $("mail-address").addEventListener("input", forget);
  submit("register", async () => {
    const [email, username, password] = ["email", "name", "password"].map((f) => $("register-" + f).value);
    const texts = { "4 error: Already Registered ": "registered" };
    await call("POST", "api/register", { email, username, password }, { texts });
    $("register-password").value = "";
    await logIn(email, password);
  });
  $("log-out").addEventListener("click", async () => {
    await ask("POST", "auth/logout").catch(() => {});
    session.set(null);
    $("login-name").focus();
  });
  if (given.login) $("login-name").value = given.login;
  if (given.password) $("login-password").value = given.password;
  way("password");
}

// forget asks for a new code the next time.
function forget() {
  $("mail-code-field").hidden = true;
  $("mail-code").value = "";
  write($("mail-send"), "sendCode");
}

// face is the first letter of a name, in a colour that is always the name's.
export function face(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  const e = make("span", "face f" + (hash % 8), (Array.from(name.trim())[0] ?? "·").toUpperCase());
  e.setAttribute("aria-hidden", "true");
  return e;
}
