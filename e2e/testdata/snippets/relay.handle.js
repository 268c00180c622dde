function handleMessage(data) {
const msg = JSON.parse(data.data.toString());
// contoh jika menerima pesan baru
if (msg.type === "sendmessage") {
chatRoom.update(msg);
}
// kamu akan menemukan semua data msg dari server di bagian yang perlu menggunakan websocket relay
}
// ... baris kodingan kamu
// tangani saat menerima pesan relay dari server
wsClient.addEventListener("message", handleMessage);
