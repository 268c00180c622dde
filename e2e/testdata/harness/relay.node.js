// What a reader writes around relay's snippets: a login by a mailed code, the
// bootstrap that the document calls data, and what to do with what comes. In
// Node there is no window, and a room is lines of text. It is told what to do a
// line at a time.
const [at, email, ws] = process.argv.slice(2);
if (ws) globalThis.WebSocket = require(ws);
const window = { location: { protocol: "http:" } };
const handleError = (e) => console.log("error " + e.message);
const handleClose = (e) => { console.log("closed " + e.code + " " + e.reason); process.exit(); };
const chatRoom = { update: (msg) => console.log("update " + JSON.stringify(msg)) };

let cookie = "";
async function call(path, body) {
  const headers = { cookie, "content-type": "application/json" };
  const res = await fetch(at + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  for (const c of res.headers.getSetCookie()) cookie = c.split(";")[0];
  return res.json();
}

(async () => {
  const lines = require("readline").createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value;
  await call("/x/auth/sign-in", { email });
  console.log("mailed");
  await call("/x/auth/verify", { email, code: await line() });
  const { data } = await call("/x/auth/isUser");
//{{relay.connect.js}}
//{{relay.handle.js}}
  const like = () => {
//{{relay.send.js}}
  };
  wsClient.addEventListener("open", () => console.log("open " + data.me.id + " " + cookie));
  wsClient.addEventListener("message", (e) => { if (JSON.parse(e.data).type === "ack") console.log(e.data); });
  for (let told = await line(); told !== undefined; told = await line()) {
    const [word, ...rest] = JSON.parse(told);
    if (word === "like") like();
    if (word === "send") wsClient.send(JSON.stringify(rest[0]));
    if (word === "call") console.log("answer " + JSON.stringify(await call(...rest)));
  }
})();
