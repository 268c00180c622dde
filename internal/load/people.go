package load

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// atOnce is how many calls are made at once. What is dear in making accounts,
// hashing passwords, the server does as many of at once as it likes.
const atOnce = 8

// person is an account of the load's own. Passwords are dear, so each run uses
// the accounts of the one before again, and leaves them suspended. All of it
// follows from the administrator's key. The names are seen by others; addresses
// and passwords nobody else knows, and so no account that somebody made is taken
// for one of these, nor keeps one from being made.
type person struct {
	name, address, password string
	id                      uint64
	suspended               bool
	token                   string
}

// domain is one in which nobody can have a mailbox.
const domain = "@bench.invalid"

// secret is what follows from the administrator's key, and does not tell it.
func (r *run) secret(of string) string {
	m := hmac.New(sha256.New, []byte(r.o.Key))
	m.Write([]byte("kabar bench " + of))
	return hex.EncodeToString(m.Sum(nil))
}

// people makes so many accounts, logged in.
func (r *run) people(ctx context.Context, count int) ([]*person, error) {
	prefix := "bench-" + r.secret("names")[:8] + "-"
	all := make([]*person, count)
	for i := range all {
		name := prefix + strconv.Itoa(i+1)
		all[i] = &person{name: name, address: name + "-" + r.secret("address of " + name)[:16] + domain, password: r.secret(name)}
	}
	if err := r.known(ctx, prefix, all); err != nil {
		return nil, err
	}
	accounts := fmt.Sprintf("the accounts %s1 to %d", prefix, count)
	if count == 1 {
		accounts = "the account " + all[0].name
	}
	r.undo = append(r.undo, undo{
		accounts, func(ctx context.Context) error { return r.suspend(ctx, prefix, all) },
		accounts + ", suspended until the next run",
	})
	r.step("making accounts", count)
	err := r.each(ctx, all, func(ctx context.Context, p *person) error {
		if p.id == 0 {
			return r.register(ctx, p)
		}
		if p.suspended {
			return r.server.call(ctx, "POST", fmt.Sprintf("/v1/users/%d/restore", p.id), r.server.asAdmin(), nil, nil)
		}
		return nil
	})
	if err == nil {
		err = r.known(ctx, prefix, all)
	}
	if err != nil {
		return nil, err
	}
	r.step("logging in", count)
	return all, r.each(ctx, all, r.logIn)
}

// known fills in which of the accounts are there.
func (r *run) known(ctx context.Context, prefix string, all []*person) error {
	by := make(map[string]*person, len(all))
	for _, p := range all {
		by[p.address] = p
	}
	for after := uint64(0); ; {
		var page struct {
			Users []struct {
				ID        uint64
				Email     string
				Suspended bool
			}
			Next uint64
		}
		path := fmt.Sprintf("/v1/users?q=%s&limit=200&after=%d", prefix, after)
		if err := r.server.call(ctx, "GET", path, r.server.asAdmin(), nil, &page); err != nil {
			return err
		}
		for _, u := range page.Users {
			if p := by[strings.ToLower(u.Email)]; p != nil {
				p.id, p.suspended = u.ID, u.Suspended
			}
		}
		if after = page.Next; after == 0 {
			return nil
		}
	}
}

func (r *run) register(ctx context.Context, p *person) error {
	err := r.server.call(ctx, "POST", "/api/register", [2]string{}, object{"email": p.address, "username": p.name, "password": p.password}, nil)
	return limited(err, "an account cannot be made")
}

func (r *run) logIn(ctx context.Context, p *person) error {
	var in struct{ Data struct{ Token string } }
	err := r.server.call(ctx, "POST", "/api/login", [2]string{}, object{"email": p.address, "password": p.password}, &in)
	p.token = in.Data.Token
	return limited(err, "the account "+p.name+" cannot be logged in to")
}

func limited(err error, what string) error {
	if no := refused(err); no != nil && no.status == http.StatusTooManyRequests {
		return errLimits
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// suspend closes the accounts. They cannot be taken away altogether.
func (r *run) suspend(ctx context.Context, prefix string, all []*person) error {
	if err := r.known(ctx, prefix, all); err != nil { // of a run that broke off, too
		return err
	}
	r.step("suspending", len(all))
	return r.each(ctx, all, func(ctx context.Context, p *person) error {
		if p.id == 0 || p.suspended {
			return nil
		}
		return r.server.call(ctx, "POST", fmt.Sprintf("/v1/users/%d/suspend", p.id), r.server.asAdmin(), nil, nil)
	})
}

// each does something for all people, some at once, until it fails for one.
func (r *run) each(ctx context.Context, all []*person, do func(ctx context.Context, p *person) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	for range atOnce {
		working.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(all) && ctx.Err() == nil; n = next.Add(1) - 1 {
				if err := do(ctx, all[n]); err != nil {
					cancel(err)
				}
				r.stage.done.Add(1)
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}
