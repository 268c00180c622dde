// Package process owns business processes: rules that answer a connection's
// frames and what else happens, written as YAML or JSON, kept in versions and
// published to endpoints.
//
// It promises: what does not compile is refused with line and column, and what
// is published goes on; a run ends in its time, with its steps, its memory and
// the size of each value bounded, and takes only its own process's places; what
// a run does is one change or none; what processes cause among themselves ends;
// what is stored as published is in force. Expressions are read and typed by
// expr-lang and run by this package, which counts.
//
// It never knows a dialect, SQL or HTTP.
package process
