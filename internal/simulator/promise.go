package simulator

// promise is one of the README's, in its words.
type promise string

// The promises, and what else must not happen.
const (
	durable promise = "An acknowledgement means durable. What was acknowledged is on the disk; a crash or a power cut does not take it back."
	inOrder promise = "Once and in order. Each topic is numbered 1, 2, 3, … without a hole. A receiver that resumes from its position hears everything after it, in order, once. " +
		"One that lets the server remember (after=last) begins after what it has acknowledged: what was on its way then may come again, under the same id."
	wholePast  promise = "Never a part of the past. A position that cannot be served is refused with the reason, instead of being served in part."
	upgraded   promise = "Whoever has seen the upgrade answered hears everything published after it."
	unhindered promise = "A slow receiver holds up nobody. It reads on from the log at its own pace, or is closed with the reason."
	obedient   promise = "Live sockets obey. Logout, expiry and a withdrawn token close the sockets that rest on it within a second."
	other      promise = "What the contracts say besides."
)
