package process

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/sign"
	"github.com/kabar-io/kabar/internal/status"
)

// KindSaid is what a process published to an endpoint; its Data is a Said. It
// enters BotTopic.
const KindSaid = "bot.said"

// KindTyping is that somebody types at an endpoint; its Data is an
// account.Profile. It is told in BotTopic, and not kept.
const KindTyping = "bot.typing"

// Said is what a process published.
type Said struct {
	Process string          `json:"process"`
	From    account.Profile `json:"from"` // whose connection the process ran for, zero for none
	Text    string          `json:"text,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

const (
	// MaxHops is how many processes in a row may cause each other.
	MaxHops = 8

	maxAnswer = 256 << 10 // of a call, and of what it sends
)

var (
	errLoop    = errors.New("processes cause too much among each other")
	errNoCalls = errors.New("this server makes no calls")
	errCrowded = fmt.Errorf("too many of its runs wait to make a call: %w", context.DeadlineExceeded)
)

// HopsHeader says to who is called how many processes in a row led to it: a call
// may come back to this server, and cause more.
const HopsHeader = "Kabar-Hops"

// ownFault is what the server could not do. The process is not at fault, and the
// same run can go well later.
type ownFault struct{ err error }

func (e *ownFault) Error() string { return e.err.Error() }
func (e *ownFault) Unwrap() error { return e.err }

// deadCall is a call that failed because of who was called, and could go well later.
type deadCall struct{ err error }

func (e *deadCall) Error() string { return "the call failed: " + e.err.Error() }
func (e *deadCall) Unwrap() error { return e.err }

func now() time.Time { return time.Now() }

// job is one run with all that it needs.
type job struct {
	process string
	def     *Definition
	gate    *gate
	on      string
	env     map[string]any
	fill    func(env map[string]any) *Bad // puts more into env: reading it takes time, too
	vars    map[string]any
	hops    int
	from    account.Profile
	url     string // of the endpoint whose topic it publishes to
	except  uint64
	key     journal.Key
}

// perform runs a job, and carries out what it wants done, within the process's
// time. It holds one of the process's places while expressions run, and none
// while it waits.
func (s *Service) perform(ctx context.Context, j job) (outcome, error) {
	s.counts.runs.Add(1)
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout(j.def))
	defer cancel()
	if err := enter(ctx, j.gate.cpu); err != nil {
		return outcome{}, err
	}
	held := true
	defer func() {
		if held {
			leave(j.gate.cpu)
		}
	}()
	if bad := j.fill(j.env); bad != nil {
		return outcome{}, &badError{bad}
	}
	out, err := j.def.run(ctx, j.on, j.env, j.vars, func(st *step, query map[string]string, body []byte) (any, error) {
		leave(j.gate.cpu)
		held = false
		v, err := s.call(ctx, j, st, query, body)
		if err != nil {
			return nil, err
		}
		if err := enter(ctx, j.gate.cpu); err != nil {
			return nil, err
		}
		held = true
		return v, nil
	})
	if held {
		leave(j.gate.cpu)
		held = false
	}
	if err != nil || len(out.actions) == 0 {
		return out, err
	}
	if j.hops > 0 && !j.gate.caused(len(out.actions), now()) {
		s.loop(j.process, j.on, j.gate)
		return out, errLoop
	}
	c, err := s.deeds(ctx, j, out.actions)
	if err != nil {
		return out, err
	}
	if j.on == OnEvent { // nobody waits for it; it is passed once it is stored
		ctx = whole
	}
	_, err = s.o.Journal.DoOnce(j.key, c).Wait(ctx)
	if err != nil && status.Of(err).Code == status.Unavailable {
		err = &ownFault{err}
	}
	return out, err
}

func (s *Service) timeout(d *Definition) time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return s.o.Timeout
}

// deeds makes one change of all actions of a run.
func (s *Service) deeds(ctx context.Context, j job, actions []action) (journal.Change, error) {
	all := make([]journal.Change, 0, len(actions))
	for _, a := range actions {
		c, err := s.deed(ctx, j, a)
		if err != nil {
			return nil, inLine(a.step.line, err)
		}
		all = append(all, c)
	}
	return journal.Caused(uint8(min(j.hops+1, 255)), journal.All(all...)), nil
}

func (s *Service) deed(ctx context.Context, j job, a action) (journal.Change, error) {
	switch {
	case a.step.do == doSend:
		id, err := s.person(ctx, a.person)
		if err != nil {
			return nil, err
		}
		return s.o.Accounts.NoticeTo(id, a.text), nil
	case a.step.do == doNotify:
		return s.o.Instances.EmitIn(instance.ByName(a.step.to), []instance.Event{{Name: a.step.name, Data: a.data}}), nil
	case a.step.target.feed:
		return s.o.Chats.AnnounceIn(a.text), nil
	case a.step.target.group != 0:
		return s.o.Chats.PublishIn(a.step.target.group, a.text), nil
	}
	data, err := json.Marshal(Said{Process: j.process, From: j.from, Text: a.text, Data: a.data})
	if err != nil {
		return nil, err
	}
	return journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) {
		return []*journal.Message{{
			Kind: KindSaid, From: j.from.ID, Except: j.except, Entries: journal.To(BotTopic(j.url)), Data: data,
		}}, nil
	}), nil
}

// person finds the account that a number or a username means.
func (s *Service) person(ctx context.Context, p any) (uint64, error) {
	if name, ok := p.(string); ok {
		u, err := s.o.Accounts.UserByHandle(ctx, name)
		if err != nil && ctx.Err() == nil && ours(err) {
			err = &ownFault{err} // it could not be read
		}
		return u.ID, err
	}
	id, ok := p.(int)
	if !ok || id <= 0 {
		return 0, account.ErrUserNotFound
	}
	return uint64(id), nil
}

// ours says whether an error is the server's fault, or its disk's.
func ours(err error) bool {
	code := status.Of(err).Code
	return code == status.Internal || code == status.Unavailable
}

// call asks another host, signed with the process's secret.
func (s *Service) call(ctx context.Context, j job, st *step, query map[string]string, body []byte) (any, error) {
	if s.o.Caller == nil {
		return nil, errNoCalls
	}
	if err := j.gate.enterCall(ctx, j.on == OnEvent); err != nil {
		return nil, err
	}
	defer leave(j.gate.calls)
	s.counts.calls.Add(1)
	r, err := s.request(j, st, query, body)
	if err != nil {
		return nil, err
	}
	a, err := s.o.Caller.Call(ctx, r)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && status.Of(err).Code == status.Unavailable:
		return nil, &deadCall{err}
	case err != nil:
		return nil, fmt.Errorf("the call failed: %w", err)
	case a.Status >= 500:
		return nil, &deadCall{fmt.Errorf("it was answered with status %d", a.Status)}
	case a.Status < 200 || a.Status > 299:
		return nil, fmt.Errorf("the call was answered with status %d", a.Status)
	case len(a.Body) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return answerOf(a.Body)
}

func answerOf(body []byte) (any, error) {
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil, nil
	}
	v, err := decodeJSON(body)
	if err != nil {
		return nil, fmt.Errorf("the answer is not JSON that can be used: %w", err)
	}
	return v, nil
}

func (s *Service) request(j job, st *step, query map[string]string, body []byte) (Request, error) {
	r := Request{Method: st.method, URL: st.url, Body: body, MaxAnswer: maxAnswer}
	if len(query) > 0 {
		u, err := url.Parse(st.url)
		if err != nil {
			return Request{}, err
		}
		q := u.Query()
		for _, k := range slices.Sorted(maps.Keys(query)) {
			q.Set(k, query[k])
		}
		u.RawQuery = q.Encode()
		r.URL = u.String()
	}
	id := "msg_" + rand.Text()
	if j.key.Ref != "" { // the same event's call is the same call, however often it is made
		id = fmt.Sprintf("evt_%s_%d", j.key.Ref, st.line)
	}
	var err error
	if r.Header, err = sign.Headers(s.secret(j.process), id, now(), body); err != nil {
		return Request{}, err
	}
	maps.Copy(r.Header, st.header)
	r.Header[HopsHeader] = strconv.Itoa(j.hops + 1)
	r.Header["Accept"] = "application/json"
	if body != nil {
		r.Header["Content-Type"] = "application/json"
	}
	return r, nil
}
