package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is a Chromium with a profile of its own: nothing is shared between
// two of them.
type browser struct {
	ctx context.Context //nolint:containedctx // of its first tab: chromedp knows a browser by it
}

// open starts a browser.
func open(t *testing.T) *browser {
	t.Helper()
	path := tool(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
	var group int
	alloc, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-breakpad", true), chromedp.Flag("disable-crash-reporter", true),
		// Tabs in the background are as awake as the one in front.
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("no-default-browser-check", true),
		chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(patience),
		chromedp.Env(marker),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		}),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // asks the browser to end, and waits
		cancel()
		end()
		if group != 0 {
			_ = syscall.Kill(-group, syscall.SIGKILL) // whatever of it did not
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	group = chromedp.FromContext(ctx).Browser.Process().Pid
	return &browser{ctx: ctx}
}

// tab is a page in a browser.
type tab struct {
	ctx     context.Context //nolint:containedctx // chromedp knows a tab by it
	mu      sync.Mutex
	console []string // guarded by mu; what the page logged, and what it threw
}

// tab opens a page in a tab of its own.
func (b *browser) tab(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	p := &tab{ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	closed := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-closed
	})
	go func() {
		defer close(closed)
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			p.mu.Lock()
			p.console = append(p.console, m.String())
			p.mu.Unlock()
		}
	}()
	p.do(t, chromedp.Navigate(url))
	return p
}

// do carries out actions; they must succeed.
func (p *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%v; the page logged:\n%s", err, p.logged())
	}
}

// eval evaluates a JavaScript expression, as a text.
func (p *tab) eval(t *testing.T, expression string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		t.Fatalf("%s: %v; the page logged:\n%s", expression, err, p.logged())
	}
	return text
}

// becomes waits until an expression holds.
func (p *tab) becomes(t *testing.T, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience+10*time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(20*time.Millisecond)))
	if err != nil {
		t.Fatalf("%s does not become true: %v\nthe page shows:\n%s\nand logged:\n%s", expression, err, p.eval(t, "document.body.innerText"), p.logged())
	}
}

func (p *tab) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.console, "\n")
}

// logs waits until the page has logged a text.
func (p *tab) logs(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the page should log "+text, func() error {
		if log := p.logged(); !strings.Contains(log, text) {
			return errors.New("it logged " + log)
		}
		return nil
	})
}

// write types into a field and presses a button.
func (p *tab) write(t *testing.T, field, text, button string) {
	t.Helper()
	p.do(t, chromedp.SendKeys(chromedp.CSS(field), text), chromedp.Click(chromedp.CSS(button)))
}

// js is a text as a JavaScript literal.
func js(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		panic(err) // a text always encodes
	}
	return strings.TrimSpace(b.String())
}
