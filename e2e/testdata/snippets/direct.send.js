//Referensi structur message cek di bawah
const message = {
  type: 0,
  data: {
    to: destionation,
    message: messageInput.value,
  },
};
const json = JSON.stringify(message); // Jangan lupa untuk memparse object menjadi string JSON
ws.send(json);
