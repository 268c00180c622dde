package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kabar-io/kabar/internal/gateway"
)

// metrics is GET /metrics for Prometheus. The packages count; this reads.
func (a *API) metrics() func(w http.ResponseWriter, r *http.Request) error {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), reader{a})
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// reader reads the counters of the packages at each scrape.
type reader struct{ a *API }

// Describe describes nothing: what is collected is known from what it says.
func (reader) Describe(chan<- *prometheus.Desc) {}

// Collect reads every counter.
func (c reader) Collect(out chan<- prometheus.Metric) {
	put := func(kind prometheus.ValueType, name, help string, v float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("kabar_"+name, help, names, nil), kind, v, values...)
	}
	count := func(name, help string, v uint64, labels ...string) {
		put(prometheus.CounterValue, name, help, float64(v), labels...)
	}
	o := c.a.o
	put(prometheus.GaugeValue, "build_info", "Always 1.", 1, "version", o.Version)

	j := o.Journal.Stats()
	healthy := 1.0
	if o.Journal.Health() != nil {
		healthy = 0
	}
	put(prometheus.GaugeValue, "journal_healthy", "1 while what is said can be stored.", healthy)
	count("journal_commits_total", "Transactions committed.", j.Commits)
	count("journal_changes_total", "Changes handed over and settled.", j.Changes)
	count("journal_messages_total", "Messages made durable.", j.Messages)
	count("journal_refused_total", "Changes that were refused by a rule.", j.Refused)
	count("journal_repeated_total", "Changes whose key was known, and that did nothing.", j.Repeated)
	count("journal_failures_total", "Transactions that could not be stored.", j.Failures)
	c.a.retained(put, count)

	h := o.Hub.Stats()
	put(prometheus.GaugeValue, "hub_sessions", "Sessions connected now.", float64(h.Sessions))
	count("hub_deliveries_total", "Messages handed to live sessions.", uint64(h.Deliveries))
	count("hub_fallbacks_total", "Times a live session could not keep up and went on from the log.", uint64(h.Fallbacks))
	count("hub_resumed_total", "Sessions that caught up and became live.", uint64(h.Resumed))
	count("hub_skipped_total", "Messages lost by sessions that asked to skip.", uint64(h.Skipped))
	count("hub_behind_total", "Times a topic was read from the log because its shard was behind.", uint64(h.Behind))
	count("hub_ended_total", "Sessions closed because what they rested on ended.", uint64(h.Ended))

	s := o.Sockets.Stats()
	put(prometheus.GaugeValue, "ws_open", "WebSocket connections now.", float64(s.Open))
	count("ws_accepted_total", "Upgrades answered.", s.Accepted)
	count("ws_refused_total", "Upgrades refused.", s.Refused)
	count("ws_messages_received_total", "Messages from clients.", s.MessagesIn)
	count("ws_messages_sent_total", "Messages to clients.", s.MessagesOut)
	count("ws_received_bytes_total", "Bytes from clients.", s.BytesIn)
	count("ws_sent_bytes_total", "Bytes to clients.", s.BytesOut)
	count("ws_pings_total", "Pings sent.", s.Pings)
	count("ws_queue_full_total", "Sends refused for a full queue.", s.Drops)
	count("ws_stalled_total", "Connections closed because they took nothing.", s.Stalls)
	for code, n := range s.Closes {
		count("ws_closed_total", "Connections that ended, by close code.", n, "code", strconv.Itoa(int(code)))
	}

	o.Edge.Resumes.Each(func(r gateway.Resumed, times int64) {
		count("resumes_total", "Clients that came back, by what and with what outcome.", uint64(times),
			"gateway", r.Gateway, "from", r.By.String(), "outcome", r.Outcome.String())
	})
	c.canary(out)
	if o.Lifecycle != nil {
		l := o.Lifecycle.Stats()
		count("lifecycle_events_total", "Lifecycle events said.", l.Said)
		count("lifecycle_dropped_total", "Closed sessions that were not said: too many waited while nothing could be stored.", l.Dropped)
	}

	count("limit_refused_total", "What a limit refused.", uint64(o.Edge.Places.Refused.Load()), "limit", "connections")
	count("limit_refused_total", "What a limit refused.", uint64(o.Edge.Admission.Refused()), "limit", "connects")
	for limit, n := range o.Accounts.Limited() {
		count("limit_refused_total", "What a limit refused.", uint64(n), "limit", limit)
	}
	for dialect, refused := range o.Refused {
		count("frames_refused_total", "Frames that were not carried out.", uint64(refused()), "gateway", dialect)
	}
	if o.Webhooks != nil {
		c.webhooks(put, count)
	}
}

// canary reads what came of the server's own sessions.
func (c reader) canary(out chan<- prometheus.Metric) {
	labels := []string{"gateway"}
	ok := prometheus.NewDesc("kabar_canary_ok", "1 while what the server says to itself arrives.", labels, nil)
	took := prometheus.NewDesc("kabar_canary_delivery_seconds", "From saying something to hearing it on two connections of the server's own.", labels, nil)
	for _, s := range c.a.o.Canary.Stats() {
		healthy := 0.0
		if s.OK {
			healthy = 1
		}
		out <- prometheus.MustNewConstMetric(ok, prometheus.GaugeValue, healthy, s.Gateway)
		out <- prometheus.MustNewConstHistogram(took, s.Count, s.Sum, s.Buckets, s.Gateway)
	}
}

// webhooks reads what webhooks did, and how they stand.
func (c reader) webhooks(put func(kind prometheus.ValueType, name, help string, v float64, labels ...string), count func(name, help string, v uint64, labels ...string)) {
	w := c.a.o.Webhooks
	s := w.Stats()
	count("webhook_delivered_total", "Tries of webhooks that were answered with 2xx.", uint64(s.Delivered))
	count("webhook_failed_total", "Tries of webhooks that were not.", uint64(s.Failed))
	count("webhook_parked_total", "Events that their receiver refused alone.", uint64(s.Parked))
	count("webhook_dead_total", "Times that something ran out of tries.", uint64(s.Dead))
	count("webhook_holds_total", "Times that a webhook went on hold.", uint64(s.Holds))
	count("webhook_replayed_total", "Events that were told again on demand.", uint64(s.Replayed))
	count("webhook_unlogged_total", "Tries that the delivery log lacks.", uint64(s.Unlogged))
	now, err := w.Now(context.Background())
	if err != nil {
		return // the rest is still worth telling
	}
	put(prometheus.GaugeValue, "webhooks", "Webhooks that are on.", float64(now.Webhooks))
	put(prometheus.GaugeValue, "webhooks_held", "Webhooks that are on hold now.", float64(now.Held))
	put(prometheus.GaugeValue, "webhooks_behind", "Events that webhooks are still to be told.", float64(now.Behind))
	for state, n := range map[string]int{"parked": now.Parked, "dead": now.Dead, "replaying": now.Replaying} {
		put(prometheus.GaugeValue, "webhooks_kept", "Events, and ranges of them, that were not taken, by state.", float64(n), "state", state)
	}
}

// retained tells of what is deleted, and of what there is.
func (a *API) retained(put func(prometheus.ValueType, string, string, float64, ...string), count func(string, string, uint64, ...string)) {
	o, j := a.o, a.o.Journal.Stats()
	count("journal_swept_total", "Messages deleted because no topic keeps them any more.", j.Swept)
	count("journal_rewritten_total", "Messages whose text was taken out, or replaced.", j.Rewritten)
	if o.Retention != nil {
		r := o.Retention.Stats()
		put(prometheus.GaugeValue, "store_bytes", "Size of the database file.", float64(r.Bytes))
		put(prometheus.GaugeValue, "store_free_bytes", "How much of it is free, and used again by what is said next.", float64(r.Free))
		if !r.Oldest.IsZero() {
			put(prometheus.GaugeValue, "journal_oldest_timestamp_seconds", "When the oldest message that is kept was said, in Unix time.", float64(r.Oldest.Unix()))
		}
	}

	if o.Free != nil {
		if n, err := o.Free(); err == nil {
			put(prometheus.GaugeValue, "data_free_bytes", "Bytes that the disk has left for the data folder.", float64(n))
		}
	}
}
