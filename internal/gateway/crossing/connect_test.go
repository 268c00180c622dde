package crossing_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/gateway/transcript"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

// door is a server at whose acceptors one can knock without a socket of one's
// own: all upgrades are asked for on one connection that is open already.
type door struct {
	*transcript.Server
	routes transcript.Routes
	r      *ws.Request // of that connection
	c      *ws.Conn

	login           account.Login
	token, instance string
}

// knocking runs f at a door, with somebody who is logged in.
func knocking(tb testing.TB, f func(d *door)) {
	tb.Helper()
	w, d := &world{}, &door{}
	ready := make(chan struct{})
	d.Server = transcript.Start(tb, transcript.Options{Places: 2000, Build: func(c *transcript.Core) (transcript.Routes, error) {
		routes, err := w.build(c)
		d.routes = routes
		in := gateway.NewAdmission(account.Limit{N: 1e9, Per: time.Second}, 1000) // as in the product, and never in the way
		for path, accept := range routes.Sockets {
			routes.Sockets[path] = in.Guard(accept, func(err error) gateway.Body { return gateway.JSON(err.Error()) })
		}
		routes.Sockets["/door"] = func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
			<-ready
			d.r, d.c = r, c
			f(d)
			return nil, nil, &ws.Refusal{Status: http.StatusForbidden}
		}
		return routes, err
	}})
	d.people(tb, w)
	close(ready)
	nc, err := new(net.Dialer).DialContext(tb.Context(), "tcp", strings.TrimPrefix(d.URL, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	defer nc.Close()
	_, err = fmt.Fprint(nc, "GET /door HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		tb.Fatal(err)
	}
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || !strings.Contains(line, " 403 ") {
		tb.Fatalf("%s %v", line, err)
	}
}

func (d *door) people(tb testing.TB, w *world) {
	tb.Helper()
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	_, err := d.Accounts.Register(ctx, account.Registration{Email: "ann@example.org", Name: "ann", Password: transcript.Password})
	must(err)
	d.token, _, d.login, err = d.Accounts.Login(ctx, account.LoginRequest{Name: "ann", Password: transcript.Password, Gateway: "direct"})
	must(err)
	instances, err := instance.New(instance.Options{Journal: d.Journal, Store: d.Store.Instances(), Key: []byte(key)})
	must(err)
	shop, made, err := instances.Create(ctx, instance.Spec{Name: "shop"})
	must(err)
	d.instance = made.Text
	// Something was said everywhere lately, so that it is known where it stands.
	_, err = d.Chats.Speak(chat.Speaker{Name: "x"}, "a line", journal.Key{}).Wait(ctx)
	must(err)
	_, err = d.Accounts.Notify(d.login.User, "welcome", journal.Key{}).Wait(ctx)
	must(err)
	_, err = instances.Emit(instance.ByName(shop.Name), []instance.Event{{Name: "send.message"}}, journal.Key{}).Wait(ctx)
	must(err)
	_, err = w.processes.Save(ctx, "chatbot", process.Examples()["chatbot"])
	must(err)
	_, err = w.processes.Publish(ctx, "chatbot", 0)
	must(err)
	must(d.Settle(ctx))
}

// knock asks for an upgrade, and leaves again.
func (d *door) knock(tb testing.TB, path, query string, header ...string) {
	tb.Helper()
	accept := d.routes.Sockets[path]
	if accept == nil {
		accept = d.routes.Find(path)
	}
	r := &ws.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", Host: d.r.Host, Path: path, RawQuery: query,
		Header: slices.Clone(d.r.Header),
	}
	for i := 0; i < len(header); i += 2 {
		r.Header = append(r.Header, ws.Field{Name: header[i], Value: header[i+1]})
	}
	h, _, refusal := accept(r, d.c)
	if refusal != nil {
		tb.Fatalf("%s?%s: %d %s", path, query, refusal.Status, refusal.Body)
	}
	h.OnClose(nil, d.c, 1000, "")
}

// ways are the upgrades that there are. Each gives its path, its query and a
// header, after what has to be got first.
var ways = []struct {
	name string
	once bool // what is got first is good for one upgrade
	open func(tb testing.TB, d *door) (path, query string, header []string)
}{
	{"feed guest", false, func(testing.TB, *door) (string, string, []string) { return feed.Path, "", nil }},
	{"feed guest in JSON", false, func(testing.TB, *door) (string, string, []string) {
		return feed.Path, "format=json&client=browser-1", nil
	}},
	{"feed with a login", false, func(_ testing.TB, d *door) (string, string, []string) {
		return feed.Path, "", []string{"Cookie", gateway.Cookie + "=" + d.token}
	}},
	{"direct with a code", true, func(tb testing.TB, d *door) (string, string, []string) {
		tb.Helper()
		code, err := d.Accounts.Issue(d.login)
		if err != nil {
			tb.Fatal(err)
		}
		return direct.Path, "auth=" + code, nil
	}},
	{"relay with a socket id", false, func(tb testing.TB, d *door) (string, string, []string) {
		tb.Helper()
		id, _, err := d.Accounts.OpenTicket(context.Background(), d.login, false)
		if err != nil {
			tb.Fatal(err)
		}
		return relay.SocketPath, "id=" + id, nil
	}},
	{"events with a token", false, func(_ testing.TB, d *door) (string, string, []string) {
		return events.Path, "event=send.message&token=" + d.instance, nil
	}},
	{"bot with a cookie", false, func(_ testing.TB, d *door) (string, string, []string) {
		return "/chatbot", "", []string{"Cookie", gateway.Cookie + "=" + d.token}
	}},
}

// TestStatementsOfAnUpgrade: what an upgrade asks the store, to the statement,
// where something was said lately. Nothing is written. What is asked: on relay
// what the login acknowledged, on events the instance, on bot the groups of the
// person.
func TestStatementsOfAnUpgrade(t *testing.T) {
	most := map[string]uint64{"relay with a socket id": 1, "events with a token": 1, "bot with a cookie": 1}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			knocking(t, func(d *door) {
				least, written := uint64(1<<32), uint64(1<<32) // others may ask and write in between: who is seen, is
				for range 5 {
					path, query, header := way.open(t, d)
					statements, commits := d.counted()
					d.knock(t, path, query, header...)
					statementsThen, commitsThen := d.counted()
					least = min(least, statementsThen-statements)
					written = min(written, commitsThen-commits)
				}
				if least != most[way.name] || written != 0 {
					t.Errorf("%d statements, want %d, and %d commits", least, most[way.name], written)
				}
			})
		})
	}
}

// BenchmarkUpgrade is what an upgrade costs above ws, and leaving again: the
// gateway, the hub, the store. What has to be got before is not counted.
func BenchmarkUpgrade(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			knocking(b, func(d *door) {
				b.ReportAllocs()
				path, query, header := way.open(b, d)
				d.knock(b, path, query, header...)
				var codes []string
				var spent time.Duration // of the processor, on what is not counted
				statements, commits := d.counted()
				began := processor(b)
				for b.Loop() {
					if way.once {
						if len(codes) == 0 {
							b.StopTimer()
							before := processor(b)
							for range 500 {
								_, query, _ := way.open(b, d)
								codes = append(codes, query)
							}
							spent += processor(b) - before
							b.StartTimer()
						}
						query, codes = codes[0], codes[1:]
					}
					d.knock(b, path, query, header...)
				}
				n := float64(b.N)
				b.ReportMetric(float64(processor(b)-began-spent)/n, "cpu-ns/op")
				statementsThen, commitsThen := d.counted()
				b.ReportMetric(float64(statementsThen-statements)/n, "stmts/op")
				b.ReportMetric(float64(commitsThen-commits)/n, "commits/op")
			})
		})
	}
}

// processor is the time that this process has had a processor for.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counted is how many statements and commits there were so far.
func (d *door) counted() (statements, commits uint64) {
	written, read := d.Store.Statements()
	return written + read, d.Journal.Stats().Commits
}
