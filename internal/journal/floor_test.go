package journal_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kabar-io/kabar/internal/journal"
)

// raise is a change that has a topic begin at floor.
func raise(topic string, floor uint64) journal.Change {
	return journal.ChangeFunc(func(tx *journal.Tx) ([]*journal.Message, error) { return nil, tx.Raise(topic, floor) })
}

// told is a topic as it must be found in the journal.
type told struct {
	*running
	said  int
	floor uint64
}

func (j *told) speak(t *testing.T, n int) {
	t.Helper()
	for range n {
		j.said++
		must(t, j.Do(say(strconv.Itoa(j.said), "a")))
	}
}

func (j *told) lift(t *testing.T, to uint64) {
	t.Helper()
	must(t, j.Do(raise("a", to)))
	j.floor = max(j.floor, min(to, uint64(j.said)+1))
}

func (j *told) restart(t *testing.T) {
	t.Helper()
	j.stop()
	j.running = start(t, j.folder, nil, nil)
}

func (j *told) check(t *testing.T, when string) {
	t.Helper()
	ctx, floor := t.Context(), j.floor
	if f, err := j.Floor(ctx, "a"); err != nil || f != floor {
		t.Fatalf("%s: it begins at %d, %v; want %d", when, f, err, floor)
	}
	if h, err := j.Head(ctx, "a"); err != nil || h != uint64(j.said) {
		t.Fatalf("%s: its head is %d, %v; want %d", when, h, err, j.said)
	}
	var want []string
	for i := int(floor); i <= j.said; i++ {
		want = append(want, strconv.Itoa(i))
	}
	for after := range uint64(j.said + 2) {
		ms, err := j.Read(ctx, "a", after, 1000)
		if after+1 < floor {
			if !errors.Is(err, journal.ErrExpired) || ms != nil {
				t.Fatalf("%s: after %d: %v, %v", when, after, texts(ms), err)
			}
			continue
		}
		if rest := want[min(len(want), int(after+1-floor)):]; err != nil || fmt.Sprint(texts(ms)) != fmt.Sprint(rest) {
			t.Fatalf("%s: after %d: %v, %v; want %v", when, after, texts(ms), err, rest)
		}
	}
	ms, err := j.ReadBefore(ctx, "a", 0, 1000)
	if err != nil || len(ms) != len(want) || len(ms) > 0 && ms[len(ms)-1].Seq("a") != floor {
		t.Fatalf("%s: before: %v, %v", when, texts(ms), err)
	}
	if ms, err := j.ReadBefore(ctx, "a", floor, 10); err != nil || len(ms) != 0 {
		t.Fatalf("%s: before its beginning: %v, %v", when, texts(ms), err)
	}
}

// TestWhatIsBelowTheFloor is not read any more, in whatever state the index is
// that the topic stands in, and numbers go on where they were.
func TestWhatIsBelowTheFloor(t *testing.T) {
	j := &told{running: start(t, t.TempDir(), nil, nil), floor: 1}
	j.check(t, "empty")
	j.speak(t, 5)
	j.lift(t, 3)
	j.check(t, "in memory only")
	j.lift(t, 2)
	j.check(t, "never back")
	j.restart(t)
	j.check(t, "read anew")
	j.lift(t, 4)
	j.check(t, "quiet")
	j.speak(t, 3)
	j.lift(t, 6)
	j.check(t, "part in memory")
	j.lift(t, 1000)
	j.check(t, "all of it")
	j.restart(t)
	j.check(t, "all of it, read anew")
	j.speak(t, 2)
	j.check(t, "from there on")
	j.lift(t, uint64(j.said))
	// The index is stored and forgotten while the topic is in it.
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = "other/" + strconv.Itoa(i)
	}
	for range 70 {
		must(t, j.Do(say("c", topics...)))
	}
	j.check(t, "stored meanwhile")
	no := errors.New("no")
	fails := journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, no })
	if _, err := j.Do(journal.All(raise("a", j.floor+1), fails)).Wait(t.Context()); !errors.Is(err, no) {
		t.Fatal(err)
	}
	j.check(t, "a change that failed")
}

// TestFloorsAreWatched: who keeps messages in memory hears of it, behind the
// messages of the same commit.
func TestFloorsAreWatched(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	note := func(s string) { mu.Lock(); heard = append(heard, s); mu.Unlock() }
	j := start(t, t.TempDir(), func(ms []*journal.Message) { note(fmt.Sprint("said ", len(ms))) }, nil)
	j.Watch(func(a journal.Amended) { note(fmt.Sprint("floors ", a.Floors)) })
	must(t, j.Do(journal.All(say("1", "a"), raise("a", 2))))
	must(t, j.Do(say("2", "a")))
	no := errors.New("no")
	_, _ = j.Do(journal.All(raise("a", 3), journal.ChangeFunc(func(*journal.Tx) ([]*journal.Message, error) { return nil, no }))).Wait(t.Context())
	must(t, j.Do(say("3", "a")))
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(heard); got != "[said 1 floors [{a 2}] said 1 said 1]" {
		t.Error(got)
	}
}

// TestASliceIsShort however long the rows are that it deletes, and however many
// of one topic.
func TestASliceIsShort(t *testing.T) {
	j := start(t, t.TempDir(), nil, nil)
	long := strings.Repeat("x", 60<<10)
	for range 100 {
		must(t, j.Do(say(long, "a")))
	}
	must(t, j.Do(raise("a", 101)))
	for last := uint64(0); ; {
		more, err := j.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		swept := j.Stats().Swept
		if !more {
			if swept != 100 {
				t.Errorf("%d rows are gone", swept)
			}
			return
		}
		if n := swept - last; n == 0 || n > 20 { // 1.2 MB
			t.Fatalf("a slice deletes %d rows of 60 kB", n)
		}
		last = swept
	}
}
