package webhook

import "time"

// The schedule of tries: at once, after 5, 15 and 30 seconds, then every minute
// for an hour, then after 5 minutes, 10, 20 and so on, at most a day.
const (
	minutes     = 60 // tries in the hour of minutes
	firstLong   = 5 * time.Minute
	longest     = 24 * time.Hour
	maxTrying   = 3 * longest // what could not be told for so long is not tried any more
	maxObeyed   = longest     // of a receiver's Retry-After
	jitterShare = 0.2
)

var quick = [...]time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second}

// delay is the wait after so many tries that failed.
func delay(tries int) time.Duration {
	n := max(tries, 1) - 1
	if n < len(quick) {
		return quick[n]
	}
	if n -= len(quick); n < minutes {
		return time.Minute
	}
	d := firstLong
	for n -= minutes; n > 0 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}

// jitter moves a wait by up to a fifth, so that those that failed together do
// not come back together. random is from 0 to 1.
func jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (1 - jitterShare + 2*jitterShare*random))
}

// next is when what failed now is tried again: by the schedule, but once more at
// the end of it, and never before the receiver asked for it.
func next(now, end time.Time, tries int, asked time.Duration, random float64) time.Time {
	at := now.Add(jitter(delay(tries), random))
	if at.After(end) && now.Before(end) {
		at = end
	}
	if wanted := now.Add(min(asked, maxObeyed)); wanted.After(at) {
		at = wanted
	}
	return at
}
