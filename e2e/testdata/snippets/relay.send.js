function sendSocket(data) {
if (wsClient && wsClient.readyState === wsClient.OPEN) {
wsClient.send(JSON.stringify({ ...data, identifier: "kirimin" }));
}
}
sendSocket({
identifier: "kirimin", // string "kirimin" - wajib
type: "postlike", // string - wajib
postid: "pm2yig6go", // string
});
