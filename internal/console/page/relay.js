// relay: typed messages between people and groups, likes, who types.

import { $, make, option, tell, write } from "./dom.js";
import { call, socketAt } from "./http.js";
import { every, fate, form, Panel } from "./panel.js";
import { face, session } from "./session.js";

const identifier = "kirimin"; // in every frame, as the dialect has it
const sendTexts = {
  MSG_TEXT_LENGTH: "textTooLong", FIND_NOTFOUND: "notReachable", GRP_KICKED: "notMember", GRPS_404: "notReachable",
};

// What a frame says in one sentence, of those that say no more than that.
const sentences = {
  typing: "relayTyping", readAllMessages: "relayRead", clearhistory: "relayCleared", deletemessage: "relayDeleted",
  memberjoin: "relayJoined", memberleave: "relayLeft", memberkick: "relayKicked",
  addfriend: "relayAsked", acceptfriend: "relayAccepted", cancelfriend: "relayWithdrawn",
  ignorefriend: "relayDeclined", unfriend: "relayUnfriended",
  offer: "relayCalls", answer: "relayAnswers", hangup: "relayHangsUp", reject: "relayRejects", calloffline: "relayOffline",
};

export class Relay {
  id = ""; // of the socket
  names = new Map(); // by user id
  posts = new Map(); // by post id
  past = new Map(); // messages of the chats that were not shown yet
  seen = new Set(); // keys: after a reconnect some come again
  refs = new Map(); // of frames that wait for their ack
  count = 0;

  constructor() {
    this.panel = new Panel("relay", this);
    const typing = every(2500, () => this.room() && this.say({ type: "typing", ...this.room() }));
    form($("relay-say"), (text) => this.send(text), typing);
    $("relay-read").addEventListener("click", () => this.room() && this.say({ type: "readAllMessages", ...this.room() }, "youRead"));
    $("relay-like").addEventListener("click", () => this.like());
    $("relay-post").addEventListener("change", () => this.draw());
    $("relay-chat").addEventListener("change", () => this.earlier());
    $("relay-find").addEventListener("submit", (e) => {
      e.preventDefault();
      this.find($("relay-who").value.trim());
    });
    session.hear.push((user) => {
      this.id = "";
      this.seen.clear();
      if (!user) this.empty();
    });
    this.empty();
  }

  empty() {
    $("relay-chat").replaceChildren(write(option("", ""), "afterConnecting"));
    $("relay-post").replaceChildren(write(option("", ""), "afterConnecting"));
    $("relay-found").replaceChildren();
    this.past.clear();
    this.posts.clear();
    this.draw();
    this.panel.shows(socketAt("./") + "?id=…");
  }

  async address(again) {
    session.must();
    if (again) this.id = "";
    if (!this.id) await this.bootstrap();
    const url = socketAt("./", { id: this.id, live: 1, notices: 1, close_reason: 1 });
    this.panel.shows(url);
    return url;
  }

  lost(code) {
    if (code === 4010) this.id = "";
    this.refs.clear();
  }

  async bootstrap() {
    const { data } = await call("GET", "x/auth/isUser", undefined, { texts: { 401: "loginEnded" } });
    this.id = data.socket.id;
    for (const chat of data.c) for (const u of chat.u) this.knows(u);
    this.chats(data.c);
    $("relay-found").replaceChildren();
    for (const u of data.me.req ?? []) this.found(u);
    if (data.me.req?.length) $("relay-people").open = true;
  }

  ready() {
    this.earlier();
    this.load().catch((e) => this.panel.failed(e));
  }

  async load() {
    const { data } = await call("GET", "x/posts");
    this.posts = new Map(data.map((p) => [p.id, p]));
    const was = $("relay-post").value;
    $("relay-post").replaceChildren(...data.map((p) => option(p.id, `${p.user.displayname}: ${(p.text ?? p.id).slice(0, 60)}`)));
    if (!data.length) $("relay-post").append(write(option("", ""), "noPosts"));
    if (this.posts.has(was)) $("relay-post").value = was;
    this.draw();
  }

  // draw shows how many like the post, and whether I do.
  draw() {
    const p = this.posts.get($("relay-post").value);
    $("relay-like").disabled = !p;
    $("relay-like").textContent = p?.liked ? "♥" : "♡";
    $("relay-like").setAttribute("aria-pressed", Boolean(p?.liked));
    $("relay-likes").textContent = p?.likes ?? "";
  }

  knows(u) {
    if (u?.id) this.names.set(u.id, u.displayname || u.username);
  }

  chats(list) {
    const select = $("relay-chat");
    const was = select.value;
    const friends = make("optgroup");
    const groups = make("optgroup");
    friends.label = "👤";
    groups.label = "👥";
    this.past = new Map(list.map(({ r, m }) => [`${r.type}/${r.id}`, m]));
    for (const { r, u } of list.toSorted((a, b) => a.r.long.localeCompare(b.r.long))) {
      if (r.type === "user" && u[0]?.isFriend !== 1) continue;
      (r.type === "group" ? groups : friends).append(option(`${r.type}/${r.id}`, r.long || r.short));
    }
    select.replaceChildren(...[friends, groups].filter((g) => g.children.length));
    if (!select.options.length) select.append(write(option("", ""), "noFriends"));
    if ([...select.options].some((o) => o.value === was)) select.value = was;
  }

  // earlier shows the last of what was said in the chosen chat, once.
  earlier() {
    const all = this.past.get($("relay-chat").value);
    this.past.delete($("relay-chat").value);
    if (!all?.length) return;
    this.panel.note("earlier", { whom: this.roomName() });
    for (const m of all.slice(-5)) {
      if (this.seen.has(m.id)) continue;
      this.seen.add(m.id);
      const mine = m.userid === String(session.user.id);
      const text = m.type === "text" ? m.text : `(${m.type})`;
      const who = mine ? { whoKey: "you" } : { who: this.names.get(m.userid) ?? m.userid };
      this.panel.line({ way: mine ? "out past" : "in past", ...who, text, raw: JSON.stringify(m), at: new Date(m.timestamp) });
    }
  }

  // room is the chosen chat, as frames name it; null for none.
  room() {
    const [roomtype, roomid] = $("relay-chat").value.split("/");
    return roomid ? { roomid, roomtype } : null;
  }

  roomName() { return $("relay-chat").selectedOptions[0]?.textContent ?? ""; }

  send(text) {
    if (!this.room()) {
      this.panel.note(session.user ? "noChat" : "loginFirst");
      return false;
    }
    const path = `x/room/sendMessage/${$("relay-chat").value}`;
    const li = this.panel.line({ way: "out", whoKey: "youTo", values: { whom: this.roomName() }, text, raw: `POST /${path} ${JSON.stringify({ text })}` });
    fate(li, "sending");
    call("POST", path, { text }, { texts: { ...sendTexts, 401: "loginEnded" } }).then(
      (a) => {
        this.seen.add(a.data.chat.id);
        fate(li, "stored", JSON.stringify(a));
      },
      (e) => {
        fate(li, "notSent", "", true);
        this.panel.failed(e);
      },
    );
    return true;
  }

  // say sends a frame and waits for its ack.
  say(object, key, then) {
    const ref = `t${++this.count}`;
    const frame = { ...object, identifier, ref };
    const values = { whom: this.roomName() };
    const li = this.panel.say(frame, key ? { key, values } : { key: "youType", values });
    if (li) this.refs.set(ref, { li, then });
  }

  like() {
    const p = this.posts.get($("relay-post").value);
    if (!p) return;
    this.say({ type: p.liked ? "postunlike" : "postlike", postid: p.id }, p.liked ? "youUnlike" : "youLike", () => {
      p.liked = !p.liked;
      this.draw();
    });
  }

  frame(f, raw) {
    if (f.key) {
      if (this.seen.has(f.key)) return;
      this.seen.add(f.key);
    }
    for (const u of [f.sender, f.user, ...(f.users ?? [])]) this.knows(u);
    const who = this.names.get(f.from ?? f.user?.id) ?? f.from ?? "";
    const group = f.roomdata?.type === "group" ? ` · ${f.roomdata.long}` : "";
    switch (f.type) {
      case "ack":
        return this.acked(f, raw);
      case "sendmessage":
        return this.panel.line({ way: "in", who: who + group, text: f.chat.text ?? "", raw, at: new Date(f.chat.timestamp) });
      case "editmessage":
        return this.panel.line({ way: "in", who: who + group, key: "relayEdited", text: f.chat.text ?? "", raw });
      case "notice":
        return this.panel.line({ way: "in notice", whoKey: "notice", text: f.text, raw });
      case "postlikes":
        return this.liked(f, raw);
      case "newLoggedIn":
        return this.panel.note("relayReplaced", {}, raw);
      case "candidate":
        return this.panel.note("relayCalls", { who }, raw);
    }
    if (f.type in sentences) this.happened(f, who, raw);
    else this.panel.line({ way: "in", who, text: `${f.type} ${this.rest(f)}`.trim(), raw });
  }

  happened(f, who, raw) {
    const last = this.panel.list.lastElementChild;
    const kind = `${f.type} ${f.from} ${f.roomid}`;
    if (f.type === "typing" && last?.dataset.kind === kind) return;
    this.panel.note(sentences[f.type], { who }, raw).dataset.kind = kind;
    if (f.type === "addfriend") {
      this.found({ ...f.user, isFriend: 3 });
      $("relay-people").open = true;
    }
    if (["acceptfriend", "unfriend", "memberjoin", "memberkick"].includes(f.type)) this.panel.note("seeAgain");
  }

  // rest is what a frame of somebody's own kind holds beside its envelope.
  rest(f) {
    const { key, from, type, identifier: i, seq, epoch, to, roomid, roomtype, ...rest } = f;
    return Object.keys(rest).length ? JSON.stringify(rest) : "";
  }

  liked(f, raw) {
    const p = this.posts.get(f.postid);
    if (p) p.likes = f.likes;
    this.draw();
    this.panel.note("relayLikes", { n: f.likes, post: f.postid }, raw);
  }

  acked(f, raw) {
    const waits = this.refs.get(f.ref);
    this.refs.delete(f.ref);
    if (!waits) return this.panel.note("ack", {}, raw);
    fate(waits.li, f.ok ? "done" : "notDone", raw, !f.ok);
    if (f.ok) waits.then?.();
    return undefined;
  }

  // ---- people ----

  async find(q) {
    if (!q) return;
    $("relay-found").replaceChildren();
    tell($("relay-none"));
    try {
      session.must();
      const { data } = await call("GET", `x/profile/search/${encodeURIComponent(q)}`, undefined, { texts: { FIND_NOTFOUND: "nobodyFound" } });
      for (const u of data.users) if (u.id !== String(session.user.id)) this.found(u);
    } catch (e) {
      tell($("relay-none"), e.key ?? "refused");
    }
  }

  found(u) {
    const li = make("li");
    const name = make("span", "", u.displayname);
    name.title = "@" + u.username;
    li.append(face(u.displayname), name);
    const acts = { 0: ["addfriend", "ask"], 3: ["acceptfriend", "accept"] };
    const act = acts[u.isFriend ?? 0];
    if (act) {
      const b = write(make("button"), act[1]);
      b.type = "button";
      b.onclick = () => this.befriend(act[0], u, li);
      li.append(b);
    } else {
      li.append(write(make("small"), u.isFriend === 1 ? "friends" : "asked"));
    }
    $("relay-found").append(li);
  }

  async befriend(act, u, li) {
    try {
      const { data } = await call("POST", `x/profile/${act}`, { userid: u.id });
      li.lastElementChild.replaceWith(write(make("small"), data.user.isFriend === 1 ? "friends" : "asked"));
      if (data.user.isFriend !== 1) return;
      this.knows(data.user);
      $("relay-chat").append(option(`user/${u.id}`, u.displayname));
      document.dispatchEvent(new Event("friends"));
    } catch (e) {
      this.panel.failed(e);
    }
  }
}
