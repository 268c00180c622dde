package process_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kabar-io/kabar/internal/process"
)

// TestAProcessPassesWhatIsDamaged: what cannot be read any more is said, and what
// stands around it is heard.
func TestAProcessPassesWhatIsDamaged(t *testing.T) {
	folder := t.TempDir()
	busy := make(chan struct{}, 1)
	w := start(t, folder, func(o *process.Options) {
		o.Caller = asked(func(ctx context.Context, _ process.Request) (process.Answer, error) {
			busy <- struct{}{}
			<-ctx.Done()
			return process.Answer{}, ctx.Err()
		})
	})
	ani := w.user("ani")
	w.create("demo")
	w.publish(`process: forward
instances: [demo]
rules:
  - on: event
    when: event.data == 1
    call: { url: "https://example.com", body: event }
  - on: event
    send: { to: '"ani"', text: string(event.data) }
`)
	w.emit("demo", 0)
	w.notices(ani, "0")
	w.emit("demo", 1)
	<-busy
	w.emit("demo", 2, 3, 4, 5)
	w.stop()
	db, err := sql.Open("sqlite", filepath.Join(folder, "kabar.db"))
	if err == nil { // 3 and 4
		_, err = db.ExecContext(bg, "UPDATE journal SET data = zeroblob(length(data)) WHERE pos IN ((SELECT max(pos) FROM journal) - 1, (SELECT max(pos) FROM journal) - 2)")
	}
	ok(t, errors.Join(err, db.Close()))
	w = start(t, folder, func(o *process.Options) {
		o.Caller = asked(func(context.Context, process.Request) (process.Answer, error) {
			return process.Answer{Status: 200}, nil
		})
	})
	w.notices(ani, "0", "2", "5")
	if log := w.log.String(); strings.Count(log, "missed events where the database is damaged") != 1 {
		t.Errorf("logged %s", log)
	}
}
