const protocol = window.location.protocol === "https:" ? "wss" : "ws";
const socket_host = data.socket.host;
const socket_id = data.socket.id;
const wsClient = new WebSocket(`${protocol}://${socket_host}?id=${socket_id}`);
// contoh hasil:
// new WebSocket("wss://kirimin-a1.devanka.id?id=6dr3jfhfmdr340pa");
// tangani saat websocket error
wsClient.addEventListener("error", handleError);
// tangani saat koneksi terputus
wsClient.addEventListener("close", handleClose);
// tangani saat menerima pesan relay dari server
wsClient.addEventListener("message", handleMessage);
