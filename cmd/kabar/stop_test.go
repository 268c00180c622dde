package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestToldToStopWhileItStarts: a server that is told to stop before it is ready
// does that, whatever it is at, and its status is that of any other stop.
func TestToldToStopWhileItStarts(t *testing.T) {
	folder := t.TempDir()
	bots := filepath.Join(folder, "bots")
	if err := os.Mkdir(bots, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		source := fmt.Sprintf("process: p%d\ninputs: { message: string }\noutputs: { response: string }\nrules:\n  - reply: { response: message }\n", i)
		if err := os.WriteFile(filepath.Join(bots, fmt.Sprintf("p%d.yaml", i)), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"serve", "demo"} {
		for i := range 8 {
			ctx, stop := context.WithCancel(t.Context())
			told := time.AfterFunc(time.Duration(i)*16*time.Millisecond, stop)
			args := []string{what, "--listen", "127.0.0.1:0", "--log-level", "warn", "--bot-folder", bots, "--data", filepath.Join(folder, fmt.Sprint(what, i))}
			var out, errs bytes.Buffer
			if status := run(ctx, args, nil, &out, &errs); status != 0 || errs.Len() > 0 {
				t.Errorf("%s, told to stop after %d ms: status %d: %s", what, 16*i, status, errs.String())
			}
			told.Stop()
			stop()
		}
	}
}
