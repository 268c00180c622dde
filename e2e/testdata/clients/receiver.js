// A receiver of webhooks, as the public package says to write one: what it
// accepts it prints and answers with 204, what it does not with 401.
const { createServer } = require("node:http");
const { Webhook } = require(process.argv[2]);
const [port, secret] = process.argv.slice(3);
const print = (word, value) => console.log(word + " " + JSON.stringify(value));

const hook = new Webhook(secret);
createServer((req, res) => {
  const chunks = [];
  req.on("data", (c) => chunks.push(c)).on("end", () => {
    const body = Buffer.concat(chunks).toString();
    try {
      hook.verify(body, req.headers);
    } catch (e) {
      print("refused", e.message);
      res.writeHead(401).end();
      return;
    }
    print("event", { headers: req.headers, body });
    res.writeHead(204).end();
  });
}).listen(port, "127.0.0.1", () => print("listening", port));
