// Package lifecycle says who and what comes and goes, as events of the one
// instance that has the reserved name: user.online and user.offline,
// topic.occupied and topic.vacated, session.closed. Where there is no such
// instance, nothing is done and nothing kept.
//
// It promises: the events about one subject are numbered 1, 2, 3, … without a
// hole, over restarts, and come in that order; what was said to be there is
// said to be gone, at the latest a while after the next start of a server that
// was killed; who is back within the settling time never went. States are the
// newest: what came and went while nothing could be stored is not said.
// Closed sessions are all said, those that a server was killed with by the next
// start; but for those that opened in the last moment before it was, and those
// over MaxWaiting while nothing can be stored.
//
// It never knows a connection, a dialect or SQL.
package lifecycle
