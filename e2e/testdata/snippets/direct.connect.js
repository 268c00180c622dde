const ws = new Websocket(`127.0.0.1:5050/ws/connect?auth=${auth}`);
