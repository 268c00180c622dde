package checker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// tidy takes away what the tests built.
type tidy struct{ *testing.M }

func (t tidy) Run() int {
	defer func() { _ = os.RemoveAll(builds) }()
	return t.M.Run()
}

func TestMain(m *testing.M) {
	var err error
	if builds, err = os.MkdirTemp("", "kabar-build-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(tidy{m})
}

// builds is where servers are, each built once.
var builds string

// built is a server that is built with tags.
func built(t *testing.T, tags ...string) string {
	t.Helper()
	binary := filepath.Join(builds, binaryName(tags))
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	binary, err := Build(t.Context(), builds, tags...)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// check runs the checker on a binary that is built with tags.
func check(t *testing.T, o Options, tags ...string) *Report {
	t.Helper()
	return checkBinary(t, built(t, tags...), o)
}

func checkBinary(t *testing.T, binary string, o Options) *Report {
	t.Helper()
	o.Binary, o.Folder, o.Log, o.Pause = binary, t.TempDir(), t.Output(), time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	report, err := Run(ctx, o)
	if report != nil {
		t.Logf("\n%s", report)
	}
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestThreeKills(t *testing.T) {
	report := check(t, Options{Kills: 3, Most: 2 * time.Second})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	if report.Kills != 3 {
		t.Errorf("%d kills, not 3", report.Kills)
	}
}

// What follows shows that the checker would have found something: it is run
// on servers that do lose messages.

func TestPowerCut(t *testing.T) {
	report := check(t, Options{Kills: 2, Most: time.Second}, "powercut")
	if err := report.Err(); err != nil {
		t.Errorf("with synchronous=FULL a power cut loses nothing, but: %v", err)
	}
}

func TestPowerCutWithoutSync(t *testing.T) {
	report := check(t, Options{Kills: 1, Most: time.Second, Env: []string{"POWERCUT_SYNCHRONOUS=OFF"}}, "powercut")
	everywhere(t, report, "with synchronous=OFF a power cut loses messages")
}

// everywhere sees to it that something was missed in each gateway.
func everywhere(t *testing.T, report *Report, why string) {
	t.Helper()
	for _, g := range report.Gateways {
		if g.Found[Lost] == 0 {
			t.Errorf("%s: %s, and none was missed", g.Name, why)
		}
	}
	if report.Err() == nil {
		t.Error("the run passed")
	}
}

func TestIndexNotRecovered(t *testing.T) {
	report := check(t, Options{Kills: 1, Most: time.Second}, "norecovery")
	everywhere(t, report, "a server that forgets its index at a kill loses messages")
}

func TestServerThatDoesNotRun(t *testing.T) {
	for binary, want := range map[string]string{
		"/nowhere/kabar": "cannot be started",
		"true":           "ended by itself",
		"":               "no binary",
	} {
		_, err := Run(t.Context(), Options{Binary: binary, Folder: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with the binary %q: %v; want %q", binary, err, want)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"no gateway \"relays\"": {Gateways: []string{"relays"}},
		"named twice":           {Gateways: []string{"feed", "feed"}},
		"no gateway to check":   {Gateways: []string{}},
		"negative":              {Kills: -1},
		"no trouble \"killl\"":  {Troubles: []string{"killl"}},
		"shorter than":          {Least: time.Second, Most: time.Millisecond},
	} {
		o.Binary = "kabar"
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}

// TestNothingChecked: a checker that checked nothing fails.
func TestNothingChecked(t *testing.T) {
	r := &Report{Gateways: []GatewayReport{{Name: "feed", Acked: 1, Delivered: 1}, {Name: "direct"}}}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "direct: nothing was acknowledged") {
		t.Error(err)
	}
}

// TestHandOverBroken: a session that has read a page of the log becomes live
// there, though there is more. The tag leaves that to a race, which a history of
// more than a page does not.
func TestHandOverBroken(t *testing.T) {
	binary, err := BuildEdited(t.Context(), builds, []Edit{
		{File: "internal/hub/backlog.go", Old: " || len(ms) == pageMessages {", New: " {"},
	}, "nohandover")
	if err != nil {
		t.Fatal(err)
	}
	report := checkBinary(t, binary, Options{Kills: 0, Messages: 1000, Gateways: []string{"feed"}})
	everywhere(t, report, "a hand-over in the middle of the log loses messages")
}
