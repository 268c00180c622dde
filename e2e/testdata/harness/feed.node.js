// The feed's page without a browser: its script, and as much of a document as
// it uses. What the page would show is printed.
const area = { set value(text) { console.log(text.split("\n").pop()); }, get value() { return ""; } };
const document = { getElementById: (id) => (id === "msg" ? area : null) };
//{{feed.html}}
myWebsocketStart();
