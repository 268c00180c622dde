// Package journal is the one writer. Every change goes through it, one after
// another; it owns what was said, in which order, and since when it is safe.
//
// It promises: what Pending reports done is durable; the messages of a topic
// are numbered 1, 2, 3, … without a hole; a change that fails leaves nothing
// behind and disturbs no other; a change handed over twice under one Key
// happens once; committed messages reach the sink in order, before their
// Pending is done.
//
// On disk a message is one appended row. What finds it again (topic and seq,
// or Key) is derived: kept in memory since the mark, written in sorted batches
// that move the mark, and made again from the rows after the mark at Open.
//
// It never knows a session, a rule or SQL: a Store does the last.
package journal
