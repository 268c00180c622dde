package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

const loopback = "--outbound-allow=127.0.0.0/8"

// received is a request that the receiver accepted.
type received struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	event   event             // the body, read
}

// receiver is a program of somebody else's that gets an instance's events, and
// checks them by the public package. It may be down.
type receiver struct {
	*process
	port, secret string
}

// quietPort is a port where nobody listens. It is not one that the system gives
// to connections, which could come to stand where the receiver will.
func quietPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	t.Fatal("there is no port for a receiver")
	return ""
}

// webhook sets an instance's webhook, and gives its secret.
func (s *server) webhook(t *testing.T, instance, token, url string) (secret string) {
	t.Helper()
	a := must(t, 201, "PUT", s.url("/webhook/set/"+instance), map[string]any{"url": url, "enabled": true}, "Authorization", "Bearer "+token)
	secret, _ = a.at("secret").(string)
	if !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("the webhook was made as %s", a.text)
	}
	return secret
}

// webhookAgain sets it once more, whereupon it is tried at once.
func (s *server) webhookAgain(t *testing.T, instance, url string) {
	t.Helper()
	must(t, 201, "PUT", s.url("/webhook/set/"+instance), map[string]any{"url": url, "enabled": true}, "apikey", s.adminKey(t))
}

// trouble is what is wrong with an instance's webhook, "" for nothing.
func (s *server) trouble(t *testing.T, instance string) (words, next string) {
	t.Helper()
	a := must(t, 200, "GET", s.url("/webhook/find/"+instance), nil, "apikey", s.adminKey(t))
	words, _ = a.at("lastError").(string)
	next, _ = a.at("nextTry").(string)
	return words, next
}

// onHold waits until a webhook was tried in vain, and gives the time of the next
// try.
func (s *server) onHold(t *testing.T, instance string) (next string) {
	t.Helper()
	eventually(t, "the webhook should be on hold", func() (err error) {
		var words string
		if words, next = s.trouble(t, instance); words == "" || next == "" {
			err = errors.New("nothing is wrong with it")
		}
		return err
	})
	return next
}

// told makes a webhook for an instance, whose receiver is still down.
func (s *server) told(t *testing.T, instance, token string) *receiver {
	t.Helper()
	r := &receiver{port: quietPort(t)}
	r.secret = s.webhook(t, instance, token, "http://127.0.0.1:"+r.port+"/hook")
	return r
}

func (r *receiver) up(t *testing.T) {
	t.Helper()
	r.process = start(t, command(tool(t, "node"), "testdata/clients/receiver.js", npm(t, "standardwebhooks"), r.port, r.secret))
	r.says(t, "listening ")
}

func (r *receiver) down(t *testing.T) {
	t.Helper()
	r.signal(syscall.SIGKILL)
	r.wait(t)
}

// accepted is what the receiver has got so far.
func (r *receiver) accepted(t *testing.T) (all []received) {
	t.Helper()
	for line := range strings.Lines(r.out.String()) {
		text, is := strings.CutPrefix(line, "event ")
		if !is || !strings.HasSuffix(text, "\n") {
			continue
		}
		var got received
		if err := errors.Join(json.Unmarshal([]byte(text), &got), json.Unmarshal([]byte(got.Body), &got.event)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, got)
	}
	return all
}

// gets waits until the receiver has got an event with a seq, and gives all that
// it got.
func (r *receiver) gets(t *testing.T, seq uint64) (all []received) {
	t.Helper()
	eventually(t, fmt.Sprintf("the receiver should get event %d", seq), func() error {
		if all = r.accepted(t); len(all) == 0 || all[len(all)-1].event.Seq < seq {
			return fmt.Errorf("it has %d", len(all))
		}
		return nil
	})
	if strings.Contains(r.out.String(), "refused ") {
		t.Fatalf("the package has refused something:\n%s", clip(r.out.String()))
	}
	return all
}

// seqs wants events from first to last, in order, each once.
func seqs(t *testing.T, all []received, first, last uint64) {
	t.Helper()
	for i, got := range all {
		if got.event.Seq != first+uint64(i) {
			t.Fatalf("event %d of %d has seq %d, expected %d", i, len(all), got.event.Seq, first+uint64(i))
		}
	}
	if uint64(len(all)) != last-first+1 {
		t.Errorf("%d events came, expected those from %d to %d", len(all), first, last)
	}
}

// emitMany posts so many events at once, and gives the last one's seq.
func (s *server) emitMany(t *testing.T, instance, token string, n int) (last uint64) {
	t.Helper()
	var batch []map[string]any
	for i := range n {
		batch = append(batch, map[string]any{"event": "messages.upsert", "data": i})
	}
	a := must(t, 202, "POST", s.url("/v1/instances/"+instance+"/events"), batch, "Authorization", "Bearer "+token)
	accepted, _ := a.at("accepted").([]any)
	if len(accepted) != n {
		t.Fatalf("of %d events were accepted: %s", n, a.text)
	}
	return uint64(dig(accepted[n-1], "seq").(float64))
}

// TestWebhookReceiverIsDown: a receiver gets what it missed, in order, once,
// signed so that the public package accepts it. Meanwhile others that behave
// badly hold up nobody.
func TestWebhookReceiverIsDown(t *testing.T) {
	t.Parallel()
	s := serve(t, loopback)
	token := s.instance(t, "shop")
	r := s.told(t, "shop", token)
	r.up(t)
	signed(t, s, r, token)

	r.down(t)
	first := s.emit(t, "shop", token, "messages.upsert", "while it is down")
	firstTry := s.onHold(t, "shop")
	last := s.emitMany(t, "shop", token, 50)
	badReceivers(t, s)
	eventually(t, "it should have been tried once more", func() error {
		if _, next := s.trouble(t, "shop"); next == firstTry {
			return errors.New("its next try is " + next)
		}
		return nil
	})
	r.up(t)
	r.gets(t, last)
	end := s.emit(t, "shop", token, "messages.upsert", "the last")
	seqs(t, r.gets(t, end), first, end)
	if words, next := s.trouble(t, "shop"); words != "" || next != "" {
		t.Errorf("reached again, the webhook is %q, %q", words, next)
	}
	rotated(t, s, r, token)
	eventually(t, "who answers a byte a second should have used up its time", func() error {
		if words, _ := s.trouble(t, "slow"); words == "" {
			return errors.New("nothing is wrong with it")
		}
		return nil
	})
}

// signed: every request is an event as subscribers get it, and only as it is
// does the package accept it.
func signed(t *testing.T, s *server, r *receiver, token string) {
	t.Helper()
	sub := s.subscribe(t, "*", token, "")
	data := []any{"Halo", 9007199254740991, map[string]any{"teks": "<b>🙂</b> \u2028 \"kutip\""}, nil, []int{1, 2, 3}}
	last := uint64(0)
	for _, d := range data {
		last = s.emit(t, "shop", token, "messages.upsert", d)
	}
	all := r.gets(t, last)
	seqs(t, all, 1, last)
	for _, got := range all {
		if text := sub.next(t); text != got.Body {
			t.Errorf("posted was\n%s\nand subscribers got\n%s", got.Body, text)
		}
		h := got.Headers
		if h["webhook-id"] != got.event.ID || !strings.HasPrefix(h["webhook-signature"], "v1,") || h["content-type"] != "application/json" ||
			!strings.HasPrefix(h["user-agent"], "Kabar-Webhook/") || h["resource-owner"] != "shop" {
			t.Errorf("the headers are %v", h)
		}
	}

	got := all[0]
	again := func(code int, body string, swaps ...string) {
		t.Helper()
		headers := []string{"Content-Type", "application/json"}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			headers = append(headers, name, got.Headers[name])
		}
		must(t, code, "POST", "http://127.0.0.1:"+r.port+"/hook", body, append(headers, swaps...)...)
	}
	again(204, got.Body) // what refuses the following is the package, for what was changed
	again(401, strings.Replace(got.Body, "Halo", "Hola", 1))
	again(401, got.Body+" ")
	again(401, got.Body, "webhook-id", all[1].Headers["webhook-id"])
	again(401, got.Body, "webhook-timestamp", "1700000000")
	again(401, got.Body, "webhook-signature", all[1].Headers["webhook-signature"])
	again(401, got.Body, "webhook-signature", "")
}

// rotated: a webhook's keys are replaced. Who has the old secret accepts what is
// sent, and the public keys, old and new, fit what stands beside it.
func rotated(t *testing.T, s *server, r *receiver, token string) {
	t.Helper()
	own := []string{"Authorization", "Bearer " + token}
	path := s.url(fmt.Sprintf("/v1/webhooks/%.0f", must(t, 200, "GET", s.url("/webhook/find/shop"), nil, own...).at("id")))
	before, _ := must(t, 200, "GET", path, nil, own...).at("publicKey").(string)
	after, _ := must(t, 200, "POST", path+"/rotate", nil, own...).at("publicKey").(string)
	seq := s.emit(t, "shop", token, "messages.upsert", "after the keys were replaced")
	all := r.gets(t, seq)
	got := all[len(all)-1]
	signatures := strings.Fields(got.Headers["webhook-signature"])
	if len(signatures) != 4 || before == after {
		t.Fatalf("%s and %s sign %v", before, after, signatures)
	}
	for i, public := range []string{after, before} {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
		sig, err2 := base64.StdEncoding.DecodeString(strings.TrimPrefix(signatures[2+i], "v1a,"))
		text := got.Headers["webhook-id"] + "." + got.Headers["webhook-timestamp"] + "." + got.Body
		if err := errors.Join(err, err2); err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(text), sig) {
			t.Errorf("%s does not fit %s, %v", public, signatures[2+i], err)
		}
	}
}

// badReceivers: one answers a byte a second, one a gigabyte, one sends on to
// somebody else. A fourth instance's events come all the same, and at once.
func badReceivers(t *testing.T, s *server) {
	t.Helper()
	slow, huge, trap := newSlow(t), newHuge(t), newTrap(t)
	fine, moved := newHooks(t, http.StatusNoContent, ""), newHooks(t, http.StatusTemporaryRedirect, trap.url)
	tokens := map[string]string{}
	for name, url := range map[string]string{"slow": slow.url, "huge": huge.url, "fine": fine.url, "moved": moved.url} {
		tokens[name] = s.instance(t, name)
		s.webhook(t, name, tokens[name], url)
	}
	for _, name := range []string{"slow", "huge", "moved"} {
		s.emitMany(t, name, tokens[name], 3)
	}
	slow.reached(t)
	huge.reached(t)
	for i := range 3 {
		s.emit(t, "fine", tokens["fine"], "messages.upsert", i)
		fine.reached(t)
	}
	if slow.over() {
		t.Error("the others' events came only after who answers a byte a second")
	}
	// A gigabyte is an answer, of which nobody reads much.
	huge.reached(t)
	huge.reached(t)
	if n := huge.most(); n > 64<<20 {
		t.Errorf("of the answer of a gigabyte %d bytes were taken", n)
	}
	moved.reached(t)
	eventually(t, "the redirecting receiver should be told of", func() error {
		if words, _ := s.trouble(t, "moved"); !strings.Contains(words, "307") {
			return errors.New("its last error is " + words)
		}
		return nil
	})
	trap.untouched(t)
}

// TestWebhookSurvivesAKill: what was accepted is told, though the server was
// killed before it could tell it, or while it did.
func TestWebhookSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := serve(t, loopback)
	token := s.instance(t, "shop")
	r := s.told(t, "shop", token)
	last := s.emitMany(t, "shop", token, 100)
	s.kill9(t) // nothing of it was told: nobody was there
	r.up(t)
	s = s.again(t, loopback)
	seqs(t, r.gets(t, last), 1, last)

	before := len(r.accepted(t))
	for range 3 {
		last = s.emitMany(t, "shop", token, 100)
	}
	eventually(t, "some of the three hundred should be told", func() error {
		if len(r.accepted(t)) == before {
			return errors.New("none is")
		}
		return nil
	})
	s.kill9(t)
	heard := len(r.accepted(t)) - before
	s = s.again(t, loopback)
	all := r.gets(t, last)
	t.Logf("killed after %d of 300 were told; %d requests in all", heard, len(all))
	// What was told and not noted comes again, under the same id.
	ids, fresh := map[string]uint64{}, []received{}
	for _, got := range all {
		if seq, again := ids[got.event.ID]; again && seq == got.event.Seq {
			continue
		}
		ids[got.event.ID] = got.event.Seq
		fresh = append(fresh, got)
	}
	seqs(t, fresh, 1, last)

	// What could not be told is not noted as told, by a server that ends well
	// and saves how far it came.
	r.down(t)
	last = s.emit(t, "shop", token, "messages.upsert", "while it is down")
	s.onHold(t, "shop")
	s.stop(t)
	r.up(t)
	s.again(t, loopback)
	seqs(t, r.gets(t, last), last, last)
}

// TestInnerAddressesAreNotCalled: neither webhooks nor processes reach this
// machine or its network, however the address is written, unless it is allowed.
func TestInnerAddressesAreNotCalled(t *testing.T) {
	t.Parallel()
	s := serve(t)
	trap := newTrap(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(trap.url, "http://"), ":")
	hosts := []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0.0.0.0", "169.254.169.254", "10.0.0.1"}
	tokens := map[string]string{}
	for i, host := range hosts {
		name := fmt.Sprintf("inner%d", i)
		tokens[name] = s.instance(t, name)
		s.webhook(t, name, tokens[name], "http://"+host+":"+port+"/")
		s.emit(t, name, tokens[name], "messages.upsert", host)
	}
	for i, host := range hosts {
		name := fmt.Sprintf("inner%d", i)
		eventually(t, host+" should be refused", func() error {
			if words, _ := s.trouble(t, name); !strings.Contains(words, "private") {
				return errors.New("its last error is " + words)
			}
			return nil
		})
	}
	s.admin(t, 200, "PUT", "/v1/processes/caller", fmt.Sprintf(`process: caller
inputs:  { message: string }
outputs: { response: string }
rules:
  - call: { url: %s }
    reply: { response: '"called"' }
endpoint: { url: /caller, access: anonymous }
`, trap.url))
	s.admin(t, 200, "POST", "/v1/processes/caller/publish", "{}")
	c := dial(t, s.wsURL("/caller"))
	c.send(t, `{"message":"?"}`)
	if a := read(t, c.next(t)); a.at("error", "code") != "PROCESS_FAILED" || strings.Contains(a.text, "127.0.0.1") {
		t.Errorf("a process that calls an inner address answers %s", a.text)
	}
	trap.untouched(t)

	// Once they are allowed, they are called.
	_ = c.c.CloseNow()
	s.stop(t)
	s = s.again(t, loopback)
	s.webhookAgain(t, "inner0", trap.url)
	trap.touched(t)
}
