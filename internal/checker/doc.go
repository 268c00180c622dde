// Package checker keeps the server honest from outside of it. It starts the
// real binary, publishes and subscribes through the gateways, kills it with
// SIGKILL again and again, and reconciles every acknowledged message with every
// receiver and with the history: none lost, none doubled, none swapped. Drain
// (drain.go) is another run: very many sessions, and a restart in peace.
//
// It knows what travels over the wire and no package of the server, so that
// all of the server can be built anew behind it. It promises to end, and never
// to pass where nothing was acknowledged.
//
// The account of what was said is in ledger.go, one receiver's view in
// record.go, what befalls the server in trouble.go, its disk and its clock in
// rig_linux.go and clock.go, and each gateway's dialect
// in the file of its name. What the server calls by itself stands here, too:
// webhooks' receivers in hook.go, a process's other host in asked.go.
package checker
