package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// guide is what to open and paste.
func (s *server) guide(all people, token string) string {
	var b strings.Builder
	g := guide{s, func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }}
	g.line("")
	g.line("Kabar %s is running. Everything is in %s. Stop with Ctrl-C.", version, s.c.Data)
	g.people(all, token)
	g.relay(all.ann)
	g.direct(all.ann, all.budi)
	g.bot(all.ann)
	g.feed()
	g.events(token)
	g.admin()
	return b.String()
}

// guide writes the parts of what the demo prints.
type guide struct {
	s    *server
	line func(format string, args ...any)
}

func (g guide) people(all people, token string) {
	g.line("")
	g.line("People         password %s", demoPassword)
	for _, p := range []person{all.ann, all.budi, all.cici} {
		g.line("  %-4s  id %d  %s", p.Display, p.ID, p.Email)
		g.line("        token  %s", p.token)
	}
	at := g.s.at("8080")
	g.line("")
	g.line("try            all five by hand, on one page: open it, press Log in, then Connect all; the two pages are two logins in one browser")
	g.line("  ann's page   http://%s/try#%s", at, filled(all.ann, token))
	g.line("  budi's page  http://%s/try#%s", otherName(at), filled(all.budi, token))
}

// filled is what fills in the forms of /try.
func filled(p person, token string) string {
	return "login=" + p.Handle + "&password=" + demoPassword + "&token=" + url.QueryEscape(token)
}

// otherName is the same place under another name, where a browser keeps other
// cookies.
func otherName(at string) string {
	host, port, err := net.SplitHostPort(at)
	switch {
	case err != nil:
		return at
	case host == "localhost":
		return net.JoinHostPort("127.0.0.1", port)
	case host == "127.0.0.1":
		return net.JoinHostPort("localhost", port)
	}
	return at
}

func (g guide) relay(ann person) {
	at := g.s.at("8080")
	g.line("")
	g.line("relay          http://%s, people, groups and posts; log in by a mailed code", at)
	g.line(`  a mail       curl -s -d '{"email":"%s"}' http://%s/x/auth/sign-in`, ann.Email, at)
	g.line("  its code     curl -s -H 'apikey: %s' http://%s/v1/mail", g.s.adminKey, at)
	g.line(`  verify       curl -s -c kabar.cookies -d '{"email":"%s","code":"<code>"}' http://%s/x/auth/verify`, ann.Email, at)
	g.line("  bootstrap    curl -s -b kabar.cookies http://%s/x/auth/isUser   # the chats, and data.socket.id", at)
	g.line("  socket       npx wscat -c 'ws://%s/?id=<data.socket.id>'", at)
	g.line(`  like         {"type":"postlike","postid":"%s","identifier":"kirimin"}   # nothing comes back; see the posts`, demoPost)
	g.line("  the posts    curl -s -b kabar.cookies http://%s/x/posts", at)
}

func (g guide) direct(ann, budi person) {
	at := g.s.at("5050")
	g.line("")
	g.line("direct         http://%s, person to person; what has a ref is acknowledged", at)
	g.line("  a code       curl -s -H 'Authorization: %s' http://%s/ws/auth", ann.token, at)
	g.line("  connect      ws://%s/ws/connect?auth=<code>   (each code works once)", at)
	g.line(`  say          {"type":0,"ref":"1","data":{"to":%d,"message":"Hai!"}}`, budi.ID)
	for _, p := range []person{ann, budi} {
		g.line(`  as %-9s npx wscat -c "ws://%s/ws/connect?auth=$(curl -s -H 'Authorization: %s' http://%s/ws/auth | cut -d'"' -f14)"`, p.Display, at, p.token, at)
	}
}

func (g guide) bot(ann person) {
	at := g.s.at("8080")
	g.line("")
	g.line("bot            http://%s, processes that answer: /chatbot and /roomchat; described at http://%s/docs", at, at)
	g.line(`  log in       curl -s -d '{"login":"%s","password":"%s"}' http://%s/auth`, ann.Handle, demoPassword, at)
	g.line(`  chatbot      npx wscat -H "Cookie: gen_app_auth_token=%s" -c ws://%s/chatbot`, ann.token, at)
	g.line(`  ask          {"message":"Hai!"}`)
	g.line(`  roomchat     npx wscat -H "Cookie: gen_app_auth_token=%s" -c ws://%s/roomchat   # text instead of message`, ann.token, at)
}

func (g guide) feed() {
	at := g.s.at("3000")
	g.line("")
	g.line("feed           http://%s/, a page to open in several tabs", at)
	g.line("  connect      ws://%s/websocket   each frame is a line; what is sent goes to everybody else", at)
	g.line("  by hand      npx wscat -c 'ws://%s/websocket?last=5'", at)
	g.line("  publish      %s publish --url http://%s --admin-key %s feed 'Halo semua!'", self(), g.s.at("8080"), g.s.adminKey)
}

func (g guide) events(token string) {
	at := g.s.at("8084")
	g.line("")
	g.line("events         the instance %q has an event every three seconds", demoInstance)
	g.line("  token        %s", token)
	g.line("  subscribe    ws://%s/ws/events?event=messages.upsert&token=%s", at, token)
	g.line("  in a shell   npx wscat -c 'ws://%s/ws/events?event=*&token=%s'", at, token)
	g.line("  as a stream  curl -sN -H 'Accept: text/event-stream' 'http://%s/ws/events?event=*&token=%s'", at, token)
	g.line(`  an event     curl -s -H 'Authorization: Bearer %s' -d '{"event":"messages.upsert","data":{"text":"Hai!"}}' http://%s/v1/instances/%s/events`, token, at, demoInstance)
	g.line("  webhook      http://%s%s   shows the signed requests that it got, the newest 50", at, hookPath)
	g.line("  its events   curl -s -H 'Accept: application/json' http://%s%s", at, hookPath)
}

func (g guide) admin() {
	at := g.s.at("8080")
	g.line("")
	g.line("Administrator  apikey: %s", g.s.adminKey)
	g.line("  a notice     curl -s -H 'apikey: %s' -d '{\"users\":\"all\",\"message\":\"Halo semua!\"}' http://%s/v1/publish", g.s.adminKey, at)
}
