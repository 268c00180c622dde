package simulator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Template is a data folder to begin with, and who is in it: making accounts
// takes longer than a whole run.
type Template struct {
	image Image
	keys  map[string][]byte // the folder's other files
	cast  cast
}

// cast is who takes part.
type cast struct {
	admin  []string // the header of the administrator
	token  string   // the instance's
	vain   string   // another's, which is replaced
	bot    string   // that of the one that a process tells
	watch  string   // that of the one that says who comes and goes
	secret string   // of the webhook
	people [2]person
	guests [2]person                 // they know nobody
	group  struct{ id, link string } // both people are in it
}

// person is an account, and a friend of the other.
type person struct {
	id     uint64
	name   string
	head   uint64 // of the inbox, where the server remembers the login that leaves it to it
	logins []login
}

// login is one of a person's: for speaking, listening or comparing.
type login struct {
	token  string
	socket string // relay's id
}

// instanceName is the one that has events, botInstance the one that a process
// tells, at botPath.
const (
	instanceName      = "sim"
	botInstance       = "told"
	lifecycleInstance = "lifecycle" // has the events of who comes and goes
	botPath           = "/sim/echo"
)

// logins is how many each of the people has.
const logins = spare + 1

// devices is how many each guest comes with.
const devices = 2

// NewTemplate lets a server make the accounts that the runs use.
func NewTemplate(t *testing.T, start Start) *Template {
	t.Helper()
	base := folder(t)
	made := &Template{keys: map[string][]byte{}}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(made, start, 0, base)
		w.trace.began = time.Now()
		close(w.quiet)
		done := make(chan Image)
		go func() {
			i, _ := w.live(nil, w.party("template").random)
			done <- i
		}()
		w.party("director").direct(&made.cast, filepath.Join(base, "life1"))
		close(w.over)
		made.image = <-done
		for _, name := range []string{"signing.key", "admin.key", "webhook.secret"} {
			if b, err := os.ReadFile(filepath.Join(base, "life1", name)); err == nil { //nolint:gosec // our own
				made.keys[name] = b
			}
		}
		if w.hasFailed() {
			t.Fatal(w.report)
		}
	})
	return made
}

// unpack makes a data folder.
func (m *Template) unpack(at string, i Image) error {
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	for name, b := range m.keys {
		if err := os.WriteFile(filepath.Join(at, name), b, 0o600); err != nil {
			return err
		}
	}
	return lay(at, i)
}

const password = "a long enough password"

// direct makes everything.
func (p *party) direct(c *cast, folder string) {
	var err error
	for range 100 {
		if err = p.call("GET", "/readyz", nil, nil, nil); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		p.w.fail(other, "the server does not become ready: %v", err)
		return
	}
	key, err := os.ReadFile(filepath.Join(folder, "admin.key")) //nolint:gosec // our own
	if err != nil {
		p.w.fail(other, "the administrator's key: %v", err)
		return
	}
	c.admin = []string{"apikey", strings.TrimSpace(string(key))}
	instance := func(name string) string {
		var made struct{ Auth struct{ Token string } }
		p.insist("POST", "/instance/create", c.admin, map[string]string{"instanceName": name}, &made)
		return made.Auth.Token
	}
	c.token, c.vain, c.bot = instance(instanceName), instance("vain"), instance(botInstance)
	type object = map[string]any
	p.insist("PUT", "/v1/processes/echo", c.admin, object{
		"process": "echo", "inputs": object{"text": "string"}, "outputs": object{"text": "string"},
		"rules": []object{{
			"notify": object{"instance": botInstance, "event": "messages.upsert", "data": object{"text": "text"}},
			"reply":  object{"text": "text"},
		}},
	}, nil)
	p.insist("POST", "/v1/processes/echo/publish", c.admin, object{}, nil)
	p.insist("PUT", "/v1/endpoints"+botPath, c.admin, object{"process": "echo", "access": "users"}, nil)
	for i := range c.people {
		p.account(&c.people[i], fmt.Sprintf("person%d", i), logins)
	}
	for i := range c.guests {
		p.account(&c.guests[i], fmt.Sprintf("guest%d", i), devices)
	}
	a, b := &c.people[0], &c.people[1]
	p.insist("POST", "/api/friends/request", bearer(a.logins[0].token), map[string]uint64{"friend_id": b.id}, nil)
	p.insist("POST", "/api/friends/accept", bearer(b.logins[0].token), map[string]uint64{"friend_id": a.id}, nil)
	p.found(c)
	p.begin(c)
	p.past(c)
	var hook struct{ Secret string }
	p.insist("PUT", "/webhook/set/"+instanceName, c.admin, map[string]any{"url": "http://" + hookAddress + "/", "enabled": true}, &hook)
	c.secret = hook.Secret
	c.watch = instance(lifecycleInstance) // nobody is there any more
}

// pastSaid is how much was said in each topic before a run. It goes little by
// little while that lasts.
const pastSaid = 12

// past says it.
func (p *party) past(c *cast) {
	for n := range pastSaid {
		text := fmt.Sprint("long ago ", n)
		p.insist("POST", "/v1/publish", c.admin, map[string]string{"topic": "feed", "text": text}, nil)
		p.insist("POST", "/v1/instances/"+instanceName+"/events", c.admin, map[string]any{"event": "messages.upsert", "data": map[string]string{"text": text}}, nil)
		for i := range c.people {
			p.insist("POST", fmt.Sprint("/x/room/sendMessage/user/", c.people[1-i].id), bearer(c.people[i].logins[speaks].token), map[string]string{"text": text}, nil)
		}
		time.Sleep(800 * time.Millisecond)
	}
}

// begin lets the server remember a place of each login that leaves it to it.
func (p *party) begin(c *cast) {
	var all []*socket
	for i := range c.people {
		l := c.people[i].logins[leaves]
		for _, open := range []func() (*socket, error){
			func() (*socket, error) { return p.code(l.token, "&devices=1&epoch=1&after=0") },
			func() (*socket, error) { return p.upgrade("/?id=" + l.socket + "&devices=1&epoch=1&after=0") },
			func() (*socket, error) { return p.upgrade("/websocket?format=json", bearer(l.token)...) },
		} {
			s, err := open()
			if err != nil {
				p.w.fail(other, "a socket for %s: %v", c.people[i].name, err)
				return
			}
			all = append(all, s)
		}
	}
	for i, s := range all {
		_ = s.client.SetReadDeadline(time.Now().Add(5 * time.Second)) // some pings
		for b, err := s.nextSoon(); err == nil; b, err = s.nextSoon() {
			if f, _, err := read(b); err == nil {
				who := &c.people[i/(len(all)/len(c.people))]
				who.head = max(who.head, f.Seq)
			}
		}
		s.close()
	}
	time.Sleep(3 * time.Second) // until it is saved
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func (p *party) account(who *person, name string, logins int) {
	who.name = name
	p.insist("POST", "/api/register", nil, map[string]string{"email": name + "@example.com", "username": name, "password": password}, nil)
	for range logins {
		var in struct{ Data struct{ Token string } }
		p.insist("POST", "/api/login", nil, map[string]string{"email": name + "@example.com", "password": password}, &in)
		l := login{token: in.Data.Token}
		var begin struct {
			Data struct{ Socket struct{ ID string } }
		}
		p.insist("GET", "/x/auth/isUser", bearer(l.token), nil, &begin)
		l.socket = begin.Data.Socket.ID
		who.logins = append(who.logins, l)
	}
	var me struct {
		Data struct {
			ID uint64 `json:"Id"`
		}
	}
	p.insist("GET", "/api/user", bearer(who.logins[0].token), nil, &me)
	who.id = me.Data.ID
}
