package gateway_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/ws"
)

type handler struct{ ws.Handler }

func lets(*ws.Request, *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) { return handler{}, nil, nil }

func inWords(err error) gateway.Body {
	return gateway.JSON(map[string]string{"error": status.Of(err).Reason})
}

// page is an upgrade by a page in a browser.
func page() *ws.Request { return &ws.Request{RawQuery: "close_reason=1"} }

func TestAdmissionIsOffByDefault(t *testing.T) {
	var none *gateway.Admission
	if gateway.NewAdmission(account.Limit{}, 0) != none {
		t.Error("no limits are not none")
	}
	if h, _, _ := none.Guard(lets, inWords)(page(), nil); h == nil || none.Admit() != nil || none.Refused() != 0 {
		t.Error("none refuses somebody")
	}
}

func TestAdmissionRefusesInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{N: 3, Per: time.Second}, 0)
		asked := 0
		door := a.Guard(func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
			asked++
			return lets(r, c)
		}, inWords)
		for range 3 {
			if h, _, f := door(page(), nil); h == nil {
				t.Fatalf("refused: %+v", f)
			}
		}
		_, _, f := door(&ws.Request{RawQuery: "x=close_reason"}, nil)
		if f.Status != 503 || f.AsClose || string(f.Body) != `{"error":"BUSY"}`+"\n" || f.Header.Get("Retry-After") != "2" ||
			!strings.HasPrefix(f.Header.Get("Content-Type"), "application/json") {
			t.Errorf("a tool is told %+v, %s", f, f.Body)
		}
		_, _, f = door(page(), nil)
		ms, ok := gateway.RetryAfter(f.Reason)
		if !f.AsClose || f.Code != 4029 || !ok || ms < 1000 || ms > 2500 {
			t.Errorf("a page is told %+v", f)
		}
		if asked != 3 || a.Refused() != 2 {
			t.Errorf("%d were asked about, %d counted as refused", asked, a.Refused())
		}
		time.Sleep(time.Second)
		for range 3 {
			if h, _, f := door(page(), nil); h == nil {
				t.Fatalf("a second later: %+v", f)
			}
		}
		if h, _, _ := door(page(), nil); h != nil {
			t.Fatal("a second refills more than there is")
		}
	})
}

// TestReturn: who is sent away with others comes back at four fifths of the
// rate, and nobody before all have been sent.
func TestReturn(t *testing.T) {
	const n = 15_000
	for _, c := range []struct {
		a           *gateway.Admission
		first, last time.Duration
	}{
		{gateway.NewAdmission(account.Limit{N: 1000, Per: time.Second}, 0), 2500 * time.Millisecond, 21250 * time.Millisecond},
		{gateway.NewAdmission(account.Limit{N: 50, Per: time.Second}, 0), 2500 * time.Millisecond, 377500 * time.Millisecond},
		{nil, 2500 * time.Millisecond, 17500 * time.Millisecond},
	} {
		if got := c.a.Return(0, n); got != c.first {
			t.Errorf("the first after %v, not %v", got, c.first)
		}
		if got := c.a.Return(n, n).Round(time.Millisecond); got != c.last {
			t.Errorf("the last after %v, not %v", got, c.last)
		}
	}
	var none *gateway.Admission
	if a, b := none.Return(0, 2), none.Return(1, 2); b-a != time.Second/2 || none.Return(0, 0) < time.Second {
		t.Errorf("two of them after %v and %v", a, b)
	}
}

func TestAdmissionOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{N: 2, Per: time.Second}, 0)
		for range 2 {
			if err := a.Admit(); err != nil {
				t.Fatal(err)
			}
		}
		err := a.Admit()
		var busy *gateway.BusyError
		if !errors.As(err, &busy) || busy.After < time.Second || status.Of(err).Code != status.Unavailable || a.Refused() != 1 {
			t.Fatalf("%v, %d", err, a.Refused())
		}
		w := httptest.NewRecorder()
		gateway.TellWhen(w, err, "60")
		if s := w.Header().Get("Retry-After"); s != busy.Seconds() || s != "2" && s != "3" {
			t.Error(w.Header(), busy.After)
		}
		for err, want := range map[error]string{account.ErrTooManyLogins: "60", account.ErrCodeSpent: ""} {
			w := httptest.NewRecorder()
			gateway.TellWhen(w, err, "60")
			if w.Header().Get("Retry-After") != want {
				t.Error(err, w.Header())
			}
		}
		if h, _, _ := a.Guard(lets, inWords)(page(), nil); h == nil {
			t.Error("requests use the upgrades' rate up")
		}
	})
}

func TestAdmissionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{}, 2)
		slow := make(chan struct{})
		door := a.Guard(func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
			<-slow
			return lets(r, c)
		}, inWords)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { door(page(), nil) })
		}
		synctest.Wait()
		waits := map[int]bool{}
		for range 10 {
			h, _, f := door(page(), nil)
			if h != nil {
				t.Fatal("a third is let in")
			}
			ms, _ := gateway.RetryAfter(f.Reason)
			waits[ms] = true
		}
		if len(waits) != 10 {
			t.Errorf("they all come back at %v", waits)
		}
		close(slow)
		wg.Wait()
		if h, _, _ := door(page(), nil); h == nil {
			t.Error("nobody is on their way in, and yet")
		}
	})
}

// TestAStormIsOver: 2,000 who come at once where 50 a second are let in, and
// then five newcomers a second. Who comes back when they were told, or a little
// late, is let in then; the last is in when the schedule says so; and newcomers
// are let in as they come.
func TestAStormIsOver(t *testing.T) {
	const people, rate = 2000, 50
	for name, told := range map[string]func(i int, f *ws.Refusal) time.Duration{
		"pages": func(_ int, f *ws.Refusal) time.Duration {
			ms, _ := gateway.RetryAfter(f.Reason)
			return time.Duration(ms) * time.Millisecond
		},
		"pages that are late": func(i int, f *ws.Refusal) time.Duration {
			ms, _ := gateway.RetryAfter(f.Reason)
			return time.Duration(ms+i*7919%500) * time.Millisecond
		},
		"tools": func(_ int, f *ws.Refusal) time.Duration {
			s, _ := strconv.Atoi(f.Header.Get("Retry-After"))
			return time.Duration(s) * time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := gateway.NewAdmission(account.Limit{N: rate, Per: time.Second}, 0)
				door := a.Guard(lets, inWords)
				began := time.Now()
				refused, in := make([]int, people), make([]time.Duration, people)
				var wg sync.WaitGroup
				for i := range people {
					wg.Go(func() {
						for {
							h, _, f := door(page(), nil)
							if h != nil {
								in[i] = time.Since(began)
								return
							}
							refused[i]++
							time.Sleep(told(i, f))
						}
					})
				}
				// A fifth of the rate is for newcomers.
				schedule := 2*time.Second + (people-rate)*time.Second*5/4/rate + time.Second
				time.Sleep(time.Second)
				for time.Since(began) < schedule {
					if h, _, _ := door(page(), nil); h == nil {
						t.Errorf("a newcomer is refused after %v", time.Since(began))
					}
					time.Sleep(time.Second / 5)
				}
				wg.Wait()
				perSecond, twice := map[time.Duration]int{}, 0
				for i := range people {
					if in[i] > schedule {
						t.Errorf("%d was in after %v, and all should be after %v", i, in[i], schedule)
					}
					if refused[i] > 1 {
						twice++
					}
					perSecond[in[i].Truncate(time.Second)]++
				}
				for second, n := range perSecond {
					if n > 2*rate {
						t.Errorf("%d were let in within the second after %v", n, second)
					}
				}
				if twice > 0 || a.Refused() != people-rate {
					t.Errorf("%d were refused twice; %d refusals in all", twice, a.Refused())
				}
			})
		})
	}
}

// TestWhoDoesNotWait: who comes again and again is told a time that is never
// out of reach, and the rate holds.
func TestWhoDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{N: 10, Per: time.Second}, 0)
		door := a.Guard(lets, inWords)
		in := 0
		for range 60_000 { // a minute of a thousand a second
			h, _, f := door(page(), nil)
			if h != nil {
				in++
				time.Sleep(time.Millisecond)
				continue
			}
			if ms, _ := gateway.RetryAfter(f.Reason); ms < 1000 || ms > 61_000 {
				t.Fatalf("told to come back after %d ms", ms)
			}
			time.Sleep(time.Millisecond)
		}
		if want := 10 + 60*10; in < want-10 || in > want+10 {
			t.Errorf("%d were let in, want %d", in, want)
		}
	})
}

// TestWhatTheDoorRefusesUsesNothing: who is refused for what they ask uses the
// rate while that is looked at, and not after it.
func TestWhatTheDoorRefusesUsesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{N: 2, Per: time.Hour}, 0)
		looked := make(chan struct{})
		door := a.Guard(func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
			if r.Path != "/wrong" {
				return lets(r, c)
			}
			<-looked
			return nil, nil, &ws.Refusal{Status: http.StatusUnauthorized}
		}, inWords)
		wrong := func() int {
			_, _, f := door(&ws.Request{Path: "/wrong"}, nil)
			return f.Status
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if got := wrong(); got != http.StatusUnauthorized {
					t.Errorf("refused with %d", got)
				}
			})
		}
		synctest.Wait()
		if h, _, _ := door(page(), nil); h != nil {
			t.Error("more are at the door than may be let in")
		}
		close(looked)
		wg.Wait()
		for range 10 {
			if got := wrong(); got != http.StatusUnauthorized {
				t.Fatalf("refused with %d", got)
			}
		}
		for i := range 3 {
			if h, _, f := door(page(), nil); (h != nil) != (i < 2) {
				t.Errorf("number %d: %+v", i, f)
			}
		}
		if got := wrong(); got != http.StatusServiceUnavailable {
			t.Errorf("the rate is used up, and %d", got)
		}
	})
}

// TestJunkDoesNotStarve: somebody who is never let in asks 5,000 times a second
// and waits for nothing, where 1,000 a second are let in. Of those who come all
// at once each is refused once at most, and those who come one by one are not.
func TestJunkDoesNotStarve(t *testing.T) {
	const storm, single, rate, junk = 1500, 1000, 1000, 5000
	synctest.Test(t, func(t *testing.T) {
		a := gateway.NewAdmission(account.Limit{N: rate, Per: time.Second}, rate)
		door := a.Guard(func(r *ws.Request, c *ws.Conn) (ws.Handler, *ws.Limits, *ws.Refusal) {
			time.Sleep(time.Millisecond) // until it is known who it is
			if r.Path == "/junk" {
				return nil, nil, &ws.Refusal{Status: http.StatusUnauthorized}
			}
			return lets(r, c)
		}, inWords)
		come := func(most int) {
			for tries := 1; ; tries++ {
				h, _, f := door(page(), nil)
				if h != nil {
					return
				}
				if tries >= most {
					t.Errorf("refused %d times: %+v", tries, f)
					return
				}
				ms, _ := gateway.RetryAfter(f.Reason)
				time.Sleep(time.Duration(ms) * time.Millisecond)
			}
		}
		var wg sync.WaitGroup
		for range storm {
			wg.Go(func() { come(2) })
		}
		wg.Go(func() {
			time.Sleep(2 * time.Second)
			for range single {
				wg.Go(func() { come(1) })
				time.Sleep(10 * time.Millisecond)
			}
		})
		over := make(chan struct{})
		var unwanted sync.WaitGroup
		unwanted.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Second / junk):
					unwanted.Go(func() { door(&ws.Request{Path: "/junk"}, nil) })
				}
			}
		})
		wg.Wait()
		close(over)
		unwanted.Wait()
	})
}

func BenchmarkAdmission(b *testing.B) {
	for name, n := range map[string]int{"lets in": 1 << 30, "refuses": 1} {
		b.Run(name, func(b *testing.B) {
			door := gateway.NewAdmission(account.Limit{N: n, Per: time.Second}, 1).Guard(lets, inWords)
			b.ReportAllocs()
			for b.Loop() {
				door(&ws.Request{Method: http.MethodGet}, nil)
			}
		})
	}
}
