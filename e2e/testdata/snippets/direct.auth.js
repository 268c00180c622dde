const jwt = jwt;

const header = new Headers();
header.set("authorization", jwt);

const result = await fetch("http://localhost:5050/ws/auth", {
  method: "GET",
  headers: header,
});
const json = await result.json();
const auth = json.data.websocketAuthCode;
