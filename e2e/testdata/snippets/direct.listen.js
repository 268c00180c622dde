ws.onmessage = (ev) => {
  const msg = ev.data;

  message = JSON.parse(msg);

  if (message.type == 1) {
    messageContainer.innerHTML += `<p>${message.data.message}</p>`;
  }
};
