// Package webhook brings an instance's events to the address that its owner
// named, signed, in order, for as long as it takes.
//
// It promises: an event that was stored while its webhook was there is told at
// least once, with the same id on every try, or is kept as what ran out of tries;
// the events of one endpoint come in the order of their numbers, but for those that
// the receiver refused alone; what ran out of tries is kept within bounds, and what
// of it is not kept any more is counted; an endpoint that does not answer costs its
// own worker's time and nobody else's; what is held, parked and dead is known after
// a restart; what is told once more on demand takes the same way, under the same
// id. Secrets are stored sealed, and shown once. What was tried is kept in the
// delivery log, as far as it goes: it holds up no delivery.
//
// Each enabled endpoint has one worker, a goroutine of Run. It never knows
// HTTP, a dialect or SQL.
package webhook
