// What a reader writes around direct's snippets: where to read what is typed,
// where to show what comes, and whom it is for. Here both are lines of text.
const messageInput = { value: "" };
const messageContainer = {
  set innerHTML(html) { console.log("shown " + html); },
  get innerHTML() { return ""; },
};

(async () => {
//{{direct.auth.js}}
//{{direct.connect.js}}
//{{direct.listen.js}}
  ws.onopen = () => console.log("open");
  ws.onclose = (e) => { console.log("closed " + e.code + " " + e.reason); process.exit(); };

  require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    messageInput.value = line;
//{{direct.send.js}}
  });
})();
