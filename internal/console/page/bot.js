// bot: endpoints that are bound to a process. A frame is its inputs, the answer
// its outputs.

import { $, make, option, write } from "./dom.js";
import { ask, Refusal, socketAt } from "./http.js";
import { fate, Panel } from "./panel.js";
import { session } from "./session.js";

const usual = ["/chatbot", "/roomchat"];
const errors = {
  NOT_JSON: "botNotJSON", NOT_AN_OBJECT: "botNotJSON", MISSING_INPUT: "botMissing", UNKNOWN_INPUT: "botUnknown",
  WRONG_TYPE: "botType", PROCESS_FAILED: "botFailed", PROCESS_TIMEOUT: "botTimeout",
};

export class Bot {
  inputs = { message: "string" }; // type by name
  known = new Map(); // the inputs of the published endpoints, by path
  waits = new Map(); // lines by $id
  count = 0;
  asked = ""; // the endpoint whose inputs are shown

  constructor() {
    this.panel = new Panel("bot", this);
    $("bot-paths").replaceChildren(...usual.map((p) => option(p, p)));
    $("bot-endpoint").value = usual[0];
    $("bot-endpoint").addEventListener("change", () => this.chosen());
    $("bot-say").addEventListener("submit", (e) => {
      e.preventDefault();
      this.send();
    });
    $("bot-typing").addEventListener("click", () => this.panel.say({ $typing: true }, { key: "youTypeHere" }));
    this.draw();
    this.panel.shows(socketAt(this.path()));
  }

  // load learns which endpoints there are, and what each wants to hear.
  async load() {
    const a = await ask("GET", "asyncapi.json").catch(() => null);
    const parts = a?.body?.components ?? {};
    for (const channel of Object.values(a?.body?.channels ?? {})) {
      const message = parts.messages?.[last(channel.messages?.in?.$ref)];
      const schema = parts.schemas?.[last(message?.payload?.$ref)];
      if (!schema) continue; // another gateway's
      const inputs = Object.entries(schema.properties ?? {}).filter(([name]) => !name.startsWith("$"));
      this.known.set(channel.address, Object.fromEntries(inputs.map(([name, s]) => [name, [s.type ?? "any"].flat()[0]])));
    }
    const paths = this.known.size ? [...this.known.keys()] : usual;
    $("bot-paths").replaceChildren(...paths.map((p) => option(p, p)));
    if (!paths.includes(this.path())) $("bot-endpoint").value = paths[0];
    this.asked = "";
    await this.describe();
  }

  path() {
    const text = $("bot-endpoint").value.trim();
    return text.startsWith("/") ? text : "/" + text;
  }

  chosen() {
    this.panel.shows(socketAt(this.path()));
    this.describe();
    this.panel.link.again();
  }

  // describe finds out what an endpoint wants to hear. One that is in no list
  // says so itself, where it is asked without an upgrade.
  async describe() {
    const path = this.path();
    if (this.asked === path) return;
    const frame = this.known.get(path) ?? (await ask("GET", path.slice(1)).catch(() => null))?.body?.connect?.frame;
    if (path !== this.path()) return; // another was chosen meanwhile
    this.asked = frame ? path : "";
    this.inputs = frame ?? { message: "string" };
    this.draw();
  }

  // draw makes a field for each input.
  draw() {
    const rows = Object.entries(this.inputs).map(([name, type]) => {
      const row = make("label", "input");
      const field = make("input");
      const kind = type.split(",")[0];
      field.name = name;
      field.dataset.type = kind;
      field.autocomplete = "off";
      field.type = kind === "boolean" || kind === "bool" ? "checkbox" : "text";
      if (["number", "integer", "int", "float"].includes(kind)) field.inputMode = "decimal";
      row.append(make("span", "", name), field);
      row.title = type;
      return row;
    });
    $("bot-inputs").replaceChildren(...rows);
    if (!rows.length) $("bot-inputs").append(write(make("p", "hint"), "noInputs"));
  }

  async address(again) {
    if (again) throw new Refusal(session.user ? "loginEnded" : "loginFirst");
    await this.describe();
    this.panel.shows(socketAt(this.path()));
    return socketAt(this.path().slice(1), { close_reason: 1 });
  }

  lost() { this.waits.clear(); }

  // value reads a field as its type; what cannot be read goes as it is written,
  // for the server to refuse.
  value(field) {
    if (field.type === "checkbox") return field.checked;
    if (field.dataset.type === "string") return field.value;
    try {
      return JSON.parse(field.value);
    } catch {
      return field.value;
    }
  }

  send() {
    const $id = ++this.count;
    const frame = {};
    const fields = [...$("bot-inputs").querySelectorAll("input")];
    for (const f of fields) {
      if (f.value !== "" || f.dataset.type === "string") frame[f.name] = this.value(f);
    }
    const li = this.panel.say({ ...frame, $id }, { whoKey: "you", text: short(frame) });
    if (!li) return;
    this.waits.set($id, li);
    for (const f of fields) if (f.type === "text") f.value = "";
    fields[0]?.focus();
  }

  frame(f, raw) {
    const li = this.waits.get(f.$id);
    this.waits.delete(f.$id);
    if (f.error) {
      fate(li, "notDone", "", true);
      this.panel.line({ way: "bad", key: errors[f.error.code] ?? "errorFrame", values: { field: f.error.field }, text: errors[f.error.code] ? "" : f.error.message, raw });
      return;
    }
    if (f.$push && f.notice) {
      this.panel.line({ way: "in notice", whoKey: "notice", text: f.notice.text, raw });
      return;
    }
    const { $id, $push, ...outputs } = f;
    this.panel.line({ way: "in", ...($push ? { whoKey: "botPush" } : { who: this.path().slice(1) }), text: short(outputs), raw });
  }
}

// short is an object in a line: a single value alone, several with their names.
function short(object) {
  const all = Object.entries(object);
  const text = (v) => (typeof v === "string" ? v : JSON.stringify(v));
  if (all.length === 1) return text(all[0][1]);
  return all.length ? all.map(([k, v]) => `${k}: ${text(v)}`).join("\n") : "{}";
}

// last is the name that a reference ends with.
function last(ref) {
  return ref?.split("/").at(-1);
}
