// Requests to our own server, and what is wrong with them in words.

// Refusal is an answer that says no. key is a text of the page; detail is what
// the server said, for what the page has no text for.
export class Refusal extends Error {
  constructor(key, detail = "", status = 0) {
    super(detail || key);
    this.key = key;
    this.detail = detail;
    this.status = status;
  }
}

export const at = (path) => new URL(path, document.baseURI);

// socketAt is the address of a WebSocket of this server.
export function socketAt(path, query = {}) {
  const url = at(path);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  for (const [k, v] of Object.entries(query)) if (v !== "" && v !== undefined) url.searchParams.set(k, v);
  return url.href;
}

// ask makes a request and gives {status, body}; body is null where it is no JSON.
// It fails only where there was no answer.
export async function ask(method, path, body, headers = {}) {
  const init = { method, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(at(path), init);
  } catch {
    throw new Refusal("unreachable");
  }
  let json = null;
  try {
    json = await answer.json();
  } catch { /* not every answer is */ }
  return { status: answer.status, ok: answer.ok, body: json };
}

// wrong is what the answer of any dialect says in its own words.
export function wrong(body) {
  if (!body) return { code: "", text: "" };
  if (typeof body.error === "object" && body.error) return { code: body.error.code ?? "", text: body.error.message ?? "" };
  if (body.detail) return { code: body.code ?? "", text: body.detail };
  if (Array.isArray(body.message)) return { code: "", text: body.message.join(" ") };
  if (body.details !== undefined) return { code: body.error ?? "", text: body.details || body.error };
  return { code: body.msg ?? "", text: body.msg ?? body.message ?? "" };
}

// call is ask where only a yes will do. texts are the page's words for codes.
export async function call(method, path, body, { headers, texts = {} } = {}) {
  const a = await ask(method, path, body, headers);
  if (a.ok) return a.body;
  const w = wrong(a.body);
  const key = texts[w.code] ?? texts[w.text] ?? texts[a.status] ?? (a.status === 429 ? "busy" : a.status === 401 ? "loginFirst" : "refused");
  throw new Refusal(key, w.text || String(a.status), a.status);
}
