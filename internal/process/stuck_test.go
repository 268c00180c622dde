package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/process"
)

// quick is how long runs may take in these tests, and slow how long a test
// waits for what must not take longer than that, on a machine that is busy.
const (
	quick = 300 * time.Millisecond
	slow  = 2 * time.Minute
)

const busy = `process: busy
inputs: { big: list }
outputs: { n: integer }
timeout: 300ms
rules:
  - reply: { n: 'count(big,count(big,count(big, true) > 0) > 0)' }
endpoint: { url: /busy }
`

// numbers is a frame with a list of 64 KiB.
func numbers() string {
	return `{"big":[` + strings.TrimSuffix(strings.Repeat("1,", 32000), ",") + `]}`
}

// TestStuckHoldsUpNobody has thousands of connections on processes that compute
// and call for ever, and another process that answers meanwhile.
func TestStuckHoldsUpNobody(t *testing.T) {
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Timeout = quick
		o.Caller = asked(func(ctx context.Context, _ process.Request) (process.Answer, error) {
			<-ctx.Done() // it never answers
			return process.Answer{}, ctx.Err()
		})
	})
	w.publish(busy)
	w.publish("process: calls\noutputs: { r: any }\nrules:\n  - call: { url: \"https://example.com\" }\n    reply: { r: answer }\nendpoint: { url: /calls }\n")
	w.publish("process: fine\ninputs: { m: string }\noutputs: { r: string }\ntimeout: 20s\nrules:\n  - publish: { text: m }\n    reply: { r: upper(m) }\nendpoint: { url: /fine }\n")
	var big map[string]json.RawMessage
	ok(t, json.Unmarshal([]byte(numbers()), &big))
	var all sync.WaitGroup
	var late, other atomic.Int64
	for n := range 3000 {
		url, in := "/busy", big
		if n%2 == 0 {
			url, in = "/calls", nil
		}
		r := w.runner(url, nil)
		all.Go(func() {
			began := time.Now()
			if _, bad := r.Frame(bg, in); bad == nil || bad.Code != process.ProcessTimeout && bad.Code != process.ProcessFailed {
				other.Add(1)
			}
			if time.Since(began) > slow {
				late.Add(1)
			}
		})
	}
	r := w.runner("/fine", nil)
	for range 50 {
		expect(t, frame(t, r, `{"m":"a"}`), `{"r":"A"}`)
	}
	all.Wait()
	if late.Load() > 0 || other.Load() > 0 {
		t.Errorf("%d runs were late, %d had another answer", late.Load(), other.Load())
	}
	if s := w.Stats(); s.Timeouts == 0 || s.Failed < 3000 {
		t.Errorf("%+v", s)
	}
	expect(t, frame(t, w.runner("/calls", nil), "{}"), "PROCESS_TIMEOUT ")
}

// TestCallsAreBounded has a process call no more than its share at once.
func TestCallsAreBounded(t *testing.T) {
	var now, most atomic.Int64
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Caller = asked(func(context.Context, process.Request) (process.Answer, error) {
			for n := now.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(2 * time.Millisecond)
			now.Add(-1)
			return process.Answer{Status: 200, Body: []byte("1")}, nil
		})
	})
	w.publish("process: calls\noutputs: { r: any }\ntimeout: 30s\nrules:\n  - call: { url: \"https://example.com\" }\n    reply: { r: answer }\nendpoint: { url: /calls }\n")
	var all sync.WaitGroup
	for range 300 {
		r := w.runner("/calls", nil)
		all.Go(func() { expect(t, frame(t, r, "{}"), `{"r":1}`) })
	}
	all.Wait()
	if most.Load() > 32 || most.Load() < 2 {
		t.Errorf("%d calls at once", most.Load())
	}
}

// TestSlowCall has a call that answers too late, or with too much, end in time.
func TestSlowCall(t *testing.T) {
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Timeout = quick
		o.Caller = asked(func(ctx context.Context, r process.Request) (process.Answer, error) {
			var body strings.Builder
			for range 1 << 30 { // a byte at a time, as it was asked to take
				if body.Len() > r.MaxAnswer {
					return process.Answer{}, errors.New("too long")
				}
				if err := ctx.Err(); err != nil {
					return process.Answer{}, err
				}
				body.WriteByte(' ')
			}
			return process.Answer{Status: 200, Body: []byte(body.String())}, nil
		})
	})
	w.publish("process: calls\noutputs: { r: any }\nrules:\n  - call: { url: \"https://example.com\" }\n    reply: { r: answer }\nendpoint: { url: /calls }\n")
	began := time.Now()
	if got := frame(t, w.runner("/calls", nil), "{}"); got != "PROCESS_FAILED " && got != "PROCESS_TIMEOUT " {
		t.Error(got)
	}
	if took := time.Since(began); took > slow {
		t.Errorf("took %v", took)
	}
}

// TestVarsAreBounded has vars that grow with each frame stop to, and keep little
// memory for each connection.
func TestVarsAreBounded(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish(`process: vars
inputs: { do: string, m: string? }
outputs: { r: integer }
rules:
  - when: do == "share"
    set: { x: '[vars.x ?? 1, vars.x ?? 1]' }
  - when: do == "text"
    set: { t: (vars.t ?? "x") + (vars.t ?? "x") }
  - when: do == "many"
    set: { l: 'concat(vars.l ?? [], vars.l ?? [], [1, 2, 3])' }
  - when: do == "deep"
    set: { d: '[vars.d]' }
  - when: do == "cut"
    set: { c: 'm[0:10]' }
  - reply: { r: len(toJSON(vars)) }
endpoint: { url: /vars }
`)
	for _, do := range []string{"share", "text", "many", "deep"} {
		r := w.runner("/vars", nil)
		refused := 0
		for range 100 {
			if frame(t, r, `{"do":"`+do+`"}`) != "{}" {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing was refused", do)
		}
		if got := frame(t, r, `{"do":"size"}`); len(got) > len(`{"r":65536}`) {
			t.Errorf("%s: vars of %s", do, got)
		}
	}
	// What is cut out of a long text does not hold it.
	long := `{"do":"cut","m":"` + strings.Repeat("x", 60<<10) + `"}`
	var all []*process.Runner
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 500 {
		r := w.runner("/vars", nil)
		expect(t, frame(t, r, long), "{}")
		all = append(all, r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 15<<20 {
		t.Errorf("%d connections hold %d MiB", len(all), held>>20)
	}
	runtime.KeepAlive(all)
}

// TestOneAtATime has a runner's runs never overlap.
func TestOneAtATime(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish("process: n\noutputs: { n: integer }\ntimeout: 30s\nrules:\n  - set: { n: (vars.n ?? 0) + 1 }\n    reply: { n: vars.n }\nendpoint: { url: /n }\n")
	r := w.runner("/n", nil)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { frame(t, r, "{}") })
	}
	all.Wait()
	expect(t, frame(t, r, "{}"), `{"n":101}`)
}

// TestBigOutputs has what no connection could take be refused.
func TestBigOutputs(t *testing.T) {
	w := start(t, t.TempDir(), nil)
	w.publish("process: o\ninputs: { n: integer }\noutputs: { r: any }\nrules:\n  - when: n > 200000\n    publish: { data: 'repeat(\"x\", n)' }\n  - reply: { r: 'repeat(\"x\", n)' }\nendpoint: { url: /o }\n")
	r := w.runner("/o", nil)
	if got := frame(t, r, `{"n":100000}`); len(got) < 100000 {
		t.Error(got)
	}
	expect(t, frame(t, r, `{"n":150000}`), "PROCESS_FAILED ")
	expect(t, frame(t, r, `{"n":200001}`), "PROCESS_FAILED ")
}

// TestClosing has a run that is cut off by its context end at once.
func TestClosing(t *testing.T) {
	w := start(t, t.TempDir(), func(o *process.Options) {
		o.Timeout = 30 * time.Second
		o.Caller = asked(func(ctx context.Context, _ process.Request) (process.Answer, error) {
			<-ctx.Done()
			return process.Answer{}, ctx.Err()
		})
	})
	w.publish("process: calls\nrules:\n  - call: { url: \"https://example.com\" }\nendpoint: { url: /calls }\n")
	ctx, cancel := context.WithCancel(bg)
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	_, bad := w.runner("/calls", nil).Frame(ctx, nil)
	if bad == nil || bad.Code != process.ProcessFailed || time.Since(began) > slow {
		t.Errorf("%+v after %v", bad, time.Since(began))
	}
	if strings.Contains(w.log.String(), "failed") {
		t.Error("it was logged as the process's fault")
	}
}
