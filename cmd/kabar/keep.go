package main

import (
	"time"

	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/retention"
)

// How long a message is kept whatever is configured: for who is reading it at
// this moment, and for webhooks, which are tried for three days, and processes.
const (
	spare       = 10 * time.Minute
	spareEvents = 4 * 24 * time.Hour
)

// retain makes what deletes that which is not kept any more.
func (s *server) retain() {
	kind := func(name string, k config.Keep, spare time.Duration) retention.Kind {
		return retention.Kind{Name: name, Policy: retention.Policy{Age: k.Age, Count: k.Count, Bytes: int64(k.Size)}, Spare: spare}
	}
	c := s.c.Retention
	s.keeper = retention.New(retention.Options{
		Journal: s.journal, Store: s.store.Retention(), RefAge: s.c.Ref.Keep, RefKeep: s.c.Ref.Count, Log: s.log,
		Kinds: []retention.Kind{
			kind("user", c.Inbox, spare), kind("room", c.Room, spare), kind("feed", c.Feed, spare),
			kind("instance", c.Instance, spareEvents), kind("instances", c.Instance, spareEvents), kind("bot", c.Bot, spare),
		},
	})
}
