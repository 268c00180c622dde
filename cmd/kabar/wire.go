package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/console"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/lifecycle"
	"github.com/kabar-io/kabar/internal/mail"
	"github.com/kabar-io/kabar/internal/outbound"
	"github.com/kabar-io/kabar/internal/personal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/webhook"
	"github.com/kabar-io/kabar/internal/ws"
)

// core makes the services that know what is true.
func (s *server) core(key []byte) (err error) {
	c, l := s.c, s.c.Limit
	mailer, err := s.mailer()
	if err != nil {
		return err
	}
	s.accounts, err = account.New(account.Options{
		Journal: s.journal, Store: s.store.Accounts(), Key: key, Mailer: mailer, Log: s.log,
		LoginIdle: c.Login.Idle, CodeTTL: c.Direct.CodeTTL, HashConcurrency: c.Login.AtOnce,
		Limits: account.Limits{
			WrongPasswords: limit(l.WrongPasswords), Registrations: limit(l.Registrations),
			Logins: limit(l.Logins), RefusedCodes: limit(l.RefusedCodes),
		},
	})
	if err != nil {
		return err
	}
	s.chats, err = chat.New(chat.Options{
		Journal: s.journal, Store: s.store.Chats(), Hub: s.hub, MaxMembers: members(l.Members), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.instances, err = instance.New(instance.Options{
		Journal: s.journal, Store: s.store.Instances(), Key: key, Names: c.Events.Names, All: c.Events.WebhookURL != "",
		Made: func(name string) { s.lifecycle.Made(name) },
	})
	if err != nil {
		return err
	}
	s.lifecycle, err = lifecycle.New(lifecycle.Options{
		Journal: s.journal, Store: s.store.Lifecycle(), Instances: s.instances, Instance: c.Lifecycle.Instance,
		Each: s.hub.EachOccupied, Open: func(f func(*hub.Session, lifecycle.Session)) { gateway.Open(s.hub, f) }, Settle: c.Lifecycle.Settle, Log: s.log,
		Return: func(missing int) time.Duration { return c.Lifecycle.Return + s.admission.Return(missing, missing) },
	})
	if err != nil {
		return err
	}
	s.retain()
	s.personal, err = personal.New(personal.Options{
		Journal: s.journal, Store: s.store.Erasures(), Accounts: s.accounts, Chats: s.chats, Soon: s.keeper.Soon, Log: s.log,
	})
	if err != nil {
		return err
	}
	return s.callers(key)
}

// callers makes the services that call other hosts.
func (s *server) callers(key []byte) (err error) {
	c := s.c
	allow := make([]netip.Prefix, len(c.Outbound.Allow))
	for i, text := range c.Outbound.Allow {
		allow[i] = netip.MustParsePrefix(text) // checked when it was read
	}
	s.out = outbound.New(outbound.Options{Allow: allow, UserAgent: "Kabar/" + version, Dial: s.dial})
	s.processes, err = process.New(process.Options{
		Journal: s.journal, Store: s.store.Processes(), Hub: s.hub, Acked: s.acked,
		Accounts: s.accounts, Chats: s.chats, Instances: s.instances,
		Caller: s.out, Key: key, Reserved: s.reserved, Timeout: c.Bot.Timeout, Log: s.log,
	})
	if err != nil {
		return err
	}
	global, err := s.globalWebhook()
	if err != nil {
		return err
	}
	s.webhooks, err = webhook.New(webhook.Options{
		Journal: s.journal, Store: s.store.Webhooks(), Hub: s.hub, Acked: s.acked, Instances: s.instances,
		Sender: s.out, Key: key, Global: global, Version: version, Log: s.log,
	})
	return err
}

// mailer is how mail leaves: by the configured server, in the demo into a box
// that the administrator can look into, or not at all.
func (s *server) mailer() (account.Mailer, error) {
	m := s.c.Mail
	switch {
	case m.Server != "":
		return mail.NewSMTP(mail.SMTPOptions{Address: m.Server, User: m.User, Password: m.Password, From: m.From, TLS: m.TLS})
	case s.demo:
		s.mailbox = mail.NewBox(s.log, 100)
		return s.mailbox, nil
	}
	return nil, nil //nolint:nilnil // no mail is sent
}

// globalWebhook is the webhook of the configuration, nil for none.
func (s *server) globalWebhook() (*webhook.GlobalOptions, error) {
	c := s.c
	if c.Events.WebhookURL == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	signing := c.Events.WebhookSecret
	if signing == "" {
		var err error
		if signing, err = secretOf(c.Data, "webhook.secret", sign.NewSecret); err != nil {
			return nil, err
		}
	}
	return &webhook.GlobalOptions{URL: c.Events.WebhookURL, Secret: signing}, nil
}

// edges makes the gateways, the API and the pages, and puts them on one mux.
func (s *server) edges() error {
	c := s.c
	origins, err := gateway.ParseOrigins(c.Origins)
	if err != nil {
		return err
	}
	s.sockets = ws.New(ws.Options{
		Silent:    c.Limit.Connections,
		PingEvery: orNever(c.Keepalive.Ping), DeadAfter: orNever(c.Keepalive.Dead),
		WriteStall: orForever(c.Session.Stall), AbuseAfter: orNever(c.Limit.AbuseAfter), Log: s.log,
	})
	s.admission = gateway.NewAdmission(limit(c.Limit.Connects), c.Limit.ConnectsAtOnce)
	edge := &gateway.Edge{
		Hub: s.hub, Acked: s.acked, Epoch: s.journal.Epoch(), Origins: origins,
		Places: &gateway.Places{Most: c.Limit.Connections}, Log: s.log, Lifecycle: s.lifecycle, Resumes: &gateway.Resumes{},
		Admission: s.admission,
	}
	s.routes.http = http.NewServeMux()
	s.canary = s.newCanary()
	refused := s.gateways(edge)
	s.pages(edge, refused)
	s.http = &http.Server{
		Handler:           gateway.Upgrades(s.sockets, s.acceptor, s.bots.Serve(s.routes.http)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10, // as ws has it
		ConnState:         (&gateway.Places{Most: c.Limit.Connections}).ConnState(),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return nil
}

// gateways makes the dialects. It returns what each counts of frames that were
// not carried out.
func (s *server) gateways(edge *gateway.Edge) map[string]func() int64 {
	c, admin := s.c, gateway.NewAdmin(s.adminKey)
	dm := direct.New(direct.Options{
		Edge: edge.For("direct"), Journal: s.journal, Accounts: s.accounts, Chats: s.chats,
		Limits: s.limits(c.Direct.Frame), Text: c.Direct.Text.Int(), Reveal: c.Direct.TellUnknown,
	})
	dm.Handle(s.routes.http)
	ev := events.New(events.Options{
		Edge: edge.For("events"), Journal: s.journal, Instances: s.instances, Webhooks: s.webhooks, Admin: admin,
		Limits: s.limits(c.Events.Frame), KeepAlive: c.Keepalive.Ping, Stall: orForever(c.Session.Stall),
	})
	ev.Handle(s.routes.http)
	fd := feed.New(feed.Options{
		Edge: edge.For("feed"), Journal: s.journal, Accounts: s.accounts, Chats: s.chats,
		Limits: s.limits(c.Feed.Frame), Publish: feed.Publish(c.Feed.Publish),
	})
	fd.Handle(s.routes.http)
	rl := relay.New(relay.Options{
		Edge: edge.For("relay"), Journal: s.journal, Accounts: s.accounts, Chats: s.chats,
		Limits: s.limits(c.Relay.Frame), Alone: c.Relay.SingleDevice, Idle: c.Relay.SessionIdle,
		HTTPRate: limit(c.Limit.RelayHTTP), ICE: c.Relay.ICE, Version: version,
	})
	rl.Handle(s.routes.http)
	s.bots = bot.New(bot.Options{
		Edge: edge.For("bot"), Journal: s.journal, Accounts: s.accounts, Processes: s.processes,
		Limits: s.limits(c.Bot.Frame), Idle: c.Bot.SessionIdle,
	})
	s.bots.Handle(s.routes.http)
	in := edge.Admission
	s.routes.sockets = map[string]ws.Acceptor{
		direct.Path:      in.Guard(dm.Accept, dm.Refusal),
		events.Path:      in.Guard(ev.Accept, ev.Refusal),
		feed.Path:        in.Guard(fd.Accept, fd.Refusal),
		relay.Path:       in.Guard(rl.Accept, rl.Refusal),
		relay.SocketPath: in.Guard(rl.Accept, rl.Refusal),
	}
	for _, path := range s.canary.Paths() {
		s.routes.sockets[path] = s.canary.Accept
	}
	s.routes.bots = in.Guard(s.bots.Accept, s.bots.Refusal)
	return map[string]func() int64{
		"direct": dm.Refused, "events": ev.Refused, "feed": fd.Refused, "relay": rl.Refused, "bot": s.bots.Refused,
	}
}

// pages puts Kabar's own HTTP and its pages on the mux.
func (s *server) pages(edge *gateway.Edge, refused map[string]func() int64) {
	var mails func() []mail.Message
	if s.mailbox != nil {
		mails = s.mailbox.Messages
	}
	api.New(api.Options{
		Edge: edge, Journal: s.journal, Hub: s.hub, Sockets: s.sockets, Accounts: s.accounts, Chats: s.chats,
		Instances: s.instances, Processes: s.processes, Webhooks: s.webhooks, Retention: s.keeper, Personal: s.personal, Lifecycle: s.lifecycle, Canary: s.canary, Mail: mails, Admin: gateway.NewAdmin(s.adminKey),
		MetricsPublic: s.c.Metrics.Public, Version: version, Refused: refused,
		Parts: append(s.parts(), s.openPart), Free: s.store.Free,
	}).Handle(s.routes.http)
	console.New(console.Options{
		Accounts: s.accounts, Edge: edge, Version: version, Demo: s.demo, Publish: s.c.Feed.Publish,
	}).Handle(s.routes.http)
	if s.demo {
		s.demoRoutes(s.routes.http)
	}
}

// acceptor finds who answers an upgrade: a gateway's own path comes before an
// endpoint's.
func (s *server) acceptor(path string) ws.Acceptor {
	if a := s.routes.sockets[path]; a != nil {
		return a
	}
	if s.bots.Has(path) {
		return s.routes.bots
	}
	return nil
}

// reserved says whether a path is somebody's, so that no endpoint takes it:
// what begins like a route of ours may become one.
func (s *server) reserved(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "", "_canary", "_console", "_feed", ".well-known", "api", "asyncapi.json", "auth", "demo", "docs", "favicon.ico", "healthz", "instance", "invite",
		"metrics", "openapi.json", "readyz", "robots.txt", "setup", "socket", "try", "v1", "webhook", "websocket", "ws", "x":
		return true
	}
	if s.routes.sockets[path] != nil {
		return true
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	if err != nil {
		return true
	}
	_, pattern := s.routes.http.Handler(r)
	return pattern != "/" // what nothing else answers
}

func (s *server) limits(frame config.Size) ws.Limits {
	return ws.Limits{
		MaxMessage: frame.Int(), Queue: s.c.Session.Queue.Int(), Pending: s.c.Session.Pending,
		Burst: s.c.Limit.FrameBurst, Rate: s.c.Limit.Frames.PerSecond(),
	}
}

// members is how many people a group may have: one message enters the inbox of
// each, so there is a bound where nobody set one.
func members(n int) int {
	if n == 0 {
		return 10_000
	}
	return n
}
