// A WebSocket client by npm's ws, in lines: what it is told on its input it
// sends, and what happens it prints, each as a word and a JSON text. A third
// argument is the cookie that it shows.
const WebSocket = require(process.argv[2]);
const [url, cookie] = process.argv.slice(3);
const print = (word, value) => console.log(word + " " + JSON.stringify(value));

const ws = new WebSocket(url, { headers: cookie ? { cookie } : {} });
ws.on("open", () => print("open", ""));
ws.on("message", (data, binary) => print(binary ? "binary" : "text", data.toString()));
ws.on("ping", (data) => print("ping", data.toString()));
ws.on("close", (code, reason) => { print("close", code + " " + reason); process.exit(); });
ws.on("error", (e) => print("error", e.message));
ws.on("unexpected-response", (_, res) => {
  let body = "";
  res.on("data", (d) => { body += d; }).on("end", () => { print("refused", res.statusCode + " " + body); process.exit(); });
});
require("readline").createInterface({ input: process.stdin }).on("line", (line) => ws.send(JSON.parse(line)));
