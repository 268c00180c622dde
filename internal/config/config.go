package config

import "time"

// The tags of a field are all there is to a key: name (its flag, with the
// prefix of its section), help, default, choice (the words it may be), form
// (a check of each text, see forms), unit, min and max, secret.

// Access is what a command beside the server needs to reach it: where it
// listens, where its data is, and the administrator's key.
type Access struct {
	File   string   `name:"config" placeholder:"FILE" help:"The configuration file, YAML. Without it no file is read."`
	Listen []string `name:"listen" default:"127.0.0.1:8080" form:"address" unit:"host:port" help:"Where to listen. An empty host is every address of the machine, port 0 any free port."`
	Data   string   `name:"data" default:"./kabar-data" form:"folder" unit:"folder" help:"The folder with everything that Kabar keeps. It is made if it is missing."`
	TLS    TLS      `embed:"" prefix:"tls-" group:"TLS"`
	Admin  Admin    `embed:"" prefix:"admin-" group:"The administrator"`
}

// TLS holds the keys tls.*.
type TLS struct {
	Cert string `name:"cert" default:"" unit:"file" help:"The certificate, PEM, with those between it and the root. With it, every address of listen speaks https and wss alone. A file that changes is read again, without a restart."`
	Key  string `name:"key" default:"" unit:"file" help:"The certificate's private key, PEM."`
}

// Admin holds the keys admin.*.
type Admin struct {
	Key string `name:"key" default:"" form:"secret" secret:"" help:"The administrator's key for HTTP calls. Left empty, one is made in the data folder at the first start."`
}

// Config is the configuration of a server. Zero means off, unless a key's help
// says something else. With limits: off the whole of Limit is zero.
type Config struct {
	Access    `embed:""`
	Origins   []string `name:"origins" default:"" form:"origin" unit:"scheme://host:port" help:"Pages of other origins that may connect. The port may be *, and null is a page opened from a file. Pages of the server's own host and port always may."`
	Limits    string   `name:"limits" default:"on" choice:"on,off" help:"With off, every limit.* key is off, for measuring."`
	Watching  `embed:""`
	Keepalive Keepalive `embed:"" prefix:"keepalive-" group:"Keeping connections alive"`
	Session   Session   `embed:"" prefix:"session-" group:"A connected client"`
	Hub       Hub       `embed:"" prefix:"hub-" group:"The hub"`
	Record    `embed:""`
	Login     Login     `embed:"" prefix:"login-" group:"Logins and passwords"`
	Direct    Direct    `embed:"" prefix:"direct-" group:"The direct gateway: person to person"`
	Relay     Relay     `embed:"" prefix:"relay-" group:"The relay gateway: typed messages between people"`
	Bot       Bot       `embed:"" prefix:"bot-" group:"The bot gateway: endpoints bound to processes"`
	Feed      Feed      `embed:"" prefix:"feed-" group:"The feed gateway: one stream for everybody"`
	Events    Events    `embed:"" prefix:"events-" group:"The events gateway: events of an instance"`
	Lifecycle Lifecycle `embed:"" prefix:"lifecycle-" group:"Lifecycle events: who and what comes and goes"`
	Mail      Mail      `embed:"" prefix:"mail-" group:"Mail, for codes to log in with"`
	Outbound  Outbound  `embed:"" prefix:"outbound-" group:"Calls to other hosts: webhooks and processes"`
	Limit     Limit     `embed:"" prefix:"limit-" group:"Limits against abuse, all off with limits: off"`
	Shutdown  Shutdown  `embed:"" prefix:"shutdown-" group:"Stopping"`
}

// Record is how what was said is kept.
type Record struct {
	Ref       Ref       `embed:"" prefix:"ref-" group:"Sending again without doubling"`
	Retention Retention `embed:"" prefix:"retention-" group:"For how long what was said is kept: forever, or an age, a count and a size of each topic"`
}

// Watching is how the server shows how it is.
type Watching struct {
	Log     Log     `embed:"" prefix:"log-" group:"The log, on standard error"`
	Metrics Metrics `embed:"" prefix:"metrics-" group:"Metrics"`
	Canary  Canary  `embed:"" prefix:"canary-" group:"The canary: whether connected means delivered"`
}

// Log holds the keys log.*.
type Log struct {
	Level  string `name:"level" default:"info" choice:"debug,info,warn,error" help:"The least important thing to write."`
	Format string `name:"format" default:"text" choice:"text,json" help:"How a line is written."`
}

// Metrics holds the keys metrics.*.
type Metrics struct {
	Public bool `name:"public" default:"false" help:"Whether /metrics is open to everybody. Otherwise it wants the administrator's key."`
}

// Keepalive holds the keys keepalive.*.
type Keepalive struct {
	Ping time.Duration `name:"ping" default:"25s" help:"How often the server pings a connection. 0: never."`
	Dead time.Duration `name:"dead" default:"60s" help:"A connection that has sent nothing for so long, not even a pong, is closed. 0: never."`
}

// Session holds the keys session.*.
type Session struct {
	Queue   Size          `name:"queue" default:"256KiB" help:"What may wait for one slow client before it has to read on from what is kept. 0: no bound."`
	Stall   time.Duration `name:"stall" default:"30s" help:"A client that takes nothing of what waits for it for so long is closed with 4008. 0: never."`
	Pending int           `name:"pending" default:"64" unit:"messages" min:"1" max:"65536" help:"How many messages of one client may be on their way to the disk. At the bound its reading pauses."`
}

// Hub holds the keys hub.*.
type Hub struct {
	Ring Size `name:"ring" default:"64MiB" help:"Memory for the newest messages of all topics together, so that catching up seldom reads the disk. 0: none."`
}

// Ref holds the keys ref.*.
type Ref struct {
	Keep  time.Duration `name:"keep" default:"24h" min:"1m" help:"For how long the same ref of a login gets the same answer, and is not stored again."`
	Count int           `name:"count" default:"1000" unit:"refs" min:"1" max:"1000000" help:"How many refs of one login are remembered."`
}

// Retention holds the keys retention.*.
type Retention struct {
	Inbox    Keep `name:"inbox" default:"30d" help:"What a person's inbox keeps for devices that have not seen it. One that comes back later is told that it missed something. Conversations are in their rooms."`
	Room     Keep `name:"room" default:"forever" help:"What a conversation keeps, of two people or of a group."`
	Feed     Keep `name:"feed" default:"forever" help:"What is kept of the feed. Its readers are served the last feed.history of it."`
	Instance Keep `name:"instance" default:"30d" help:"What is kept of an instance's events. What is younger than 4 days is kept whatever this says: for so long a webhook is tried."`
	Bot      Keep `name:"bot" default:"30d" help:"What is kept of what was said at an endpoint."`
}

// Login holds the keys login.*.
type Login struct {
	Idle   time.Duration `name:"idle" default:"7d" min:"1m" help:"A login that is not used for so long ends."`
	AtOnce int           `name:"at-once" default:"0" unit:"passwords" min:"0" max:"1024" help:"How many passwords may be hashed at once; each takes a processor and some memory. 0: one for each processor."`
}

// Direct holds the keys direct.*.
type Direct struct {
	CodeTTL     time.Duration `name:"code-ttl" default:"60s" min:"1s" help:"How long a one-time code for connecting lives."`
	Frame       Size          `name:"frame" default:"4096" max:"1GiB" help:"The longest frame of a client. 0: no bound."`
	Text        Size          `name:"text" default:"800" max:"1GiB" help:"The longest message in a frame. 0: no bound."`
	TellUnknown bool          `name:"tell-unknown" default:"false" help:"Whether a failed login says that there is no such account. Otherwise it says the same as for a wrong password, so that nobody can find out who has an account."`
}

// Relay holds the keys relay.*.
type Relay struct {
	Frame        Size          `name:"frame" default:"64KiB" max:"1GiB" help:"The longest frame of a client. 0: no bound."`
	SingleDevice bool          `name:"single-device" default:"false" help:"Whether a person has one socket in all. Otherwise each login has its own."`
	SessionIdle  time.Duration `name:"session-idle" default:"30d" min:"1m" help:"A login by mailed code that is not used for so long ends."`
	ICE          []string      `name:"ice" default:"" form:"ice" unit:"stun: or turn: URL" help:"Servers that browsers use to find a way to each other in a call."`
}

// Bot holds the keys bot.*.
type Bot struct {
	Frame       Size          `name:"frame" default:"64KiB" max:"1GiB" help:"The longest frame of a client. 0: no bound."`
	SessionIdle time.Duration `name:"session-idle" default:"1h" min:"1m" help:"A login at /auth that is not used for so long ends. Frames are use."`
	Timeout     time.Duration `name:"timeout" default:"5s" min:"100ms" max:"30s" help:"How long one run of a process may take."`
	Folder      string        `name:"folder" default:"bots" form:"folder" unit:"folder" help:"Processes that are read, checked and published at the start: its *.yaml, seen from the configuration file. It need not be there."`
}

// Mail holds the keys mail.*.
type Mail struct {
	Server   string `name:"server" default:"" form:"mailserver" unit:"host:port" help:"The SMTP server that takes mail. Left empty, no mail is sent, and nobody logs in by mailed code."`
	User     string `name:"user" default:"" help:"Who we are to it. Left empty, we do not say."`
	Password string `name:"password" default:"" form:"secret" secret:"" help:"The password of mail.user."`
	From     string `name:"from" default:"" form:"mailfrom" unit:"address" help:"Whom the mail is from, as Kabar <kabar@example.com>."`
	TLS      string `name:"tls" default:"starttls" choice:"starttls,tls,none" help:"How the way there is encrypted. starttls is usual on port 587, tls on 465; none is for a server on this machine."`
}

// Outbound holds the keys outbound.*.
type Outbound struct {
	Allow []string `name:"allow" default:"" form:"prefix" unit:"address range" help:"Private addresses that webhooks and processes may call, as 10.1.0.0/16. All others that are not public are refused."`
}

// Feed holds the keys feed.*.
type Feed struct {
	Publish string `name:"publish" default:"accounts" choice:"nobody,accounts,anyone" help:"Who may speak on the feed."`
	History int    `name:"history" default:"200" unit:"lines" min:"0" max:"1000000" help:"How many lines are kept. 0: none."`
	Frame   Size   `name:"frame" default:"4KiB" max:"1GiB" help:"The longest frame of a client. 0: no bound."`
}

// Events holds the keys events.*.
type Events struct {
	Names         []string `name:"names" default:"" form:"event" unit:"event name" help:"Event names beside the built-in ones."`
	Frame         Size     `name:"frame" default:"4KiB" max:"1GiB" help:"The longest frame of a client. 0: no bound."`
	WebhookURL    string   `name:"webhook-url" default:"" form:"url" unit:"URL" help:"A webhook that gets every event of every instance. Left empty, there is none."`
	WebhookSecret string   `name:"webhook-secret" default:"" form:"whsec" secret:"" help:"What signs the events of events.webhook_url, whsec_ and base64. Left empty, one is made in the data folder, in the file webhook.secret."`
}

// Lifecycle holds the keys lifecycle.*.
type Lifecycle struct {
	Instance string        `name:"instance" default:"lifecycle" form:"instance" help:"The instance whose events say who comes online and goes, which topics are occupied, and which sessions were closed. As long as nobody has made it, nothing is said and nothing kept. Left empty, it never is."`
	Settle   time.Duration `name:"settle" default:"3s" min:"100ms" max:"1h" help:"Who is back within this time never went: neither lifecycle events nor friends hear of it."`
	Return   time.Duration `name:"return" default:"30s" min:"0s" max:"24h" help:"How long whoever was there may take to come back after a start before they are said to have gone. The time over which a stopping server asks so many to return is added."`
}

// Canary holds the keys canary.*.
type Canary struct {
	Every time.Duration `name:"every" default:"10s" max:"1h" help:"How often the server connects to itself, by each gateway, and sees whether what is said arrives. /readyz and the metrics tell when it does not, twice in a row. 0: never."`
}

// Limit holds the keys limit.*.
type Limit struct {
	FrameBurst     int           `name:"frame-burst" default:"1000" unit:"frames" min:"0" max:"10000000" help:"How many frames a connection may send at once, before limit.frames holds."`
	Frames         Rate          `name:"frames" default:"200/s" help:"Frames of one connection. Over it, reading slows down. 0: no bound."`
	AbuseAfter     time.Duration `name:"abuse-after" default:"10s" help:"A connection that stays over limit.frames for so long is closed with 4029. 0: never."`
	WrongPasswords Rate          `name:"wrong-passwords" default:"10/15m" help:"Wrong passwords for one account. 0: no bound."`
	Registrations  Rate          `name:"registrations" default:"60/m" help:"Registrations from one address. 0: no bound."`
	Logins         Rate          `name:"logins" default:"60/m" help:"Logins from one address. 0: no bound."`
	RefusedCodes   Rate          `name:"refused-codes" default:"600/m" help:"Refused connection codes from one address. 0: no bound."`
	RelayHTTP      Rate          `name:"relay-http" default:"100/5s" help:"HTTP calls of one login to the relay gateway: so many at once, refilled over that time. 0: no bound."`
	Members        int           `name:"members" default:"256" unit:"people" min:"0" max:"10000" help:"Members of a group. 0: 10,000."`
	Connects       Rate          `name:"connects" default:"1000/s" help:"New connections of everybody: so many at once, refilled over that time. The others are told when to come back, each at a time of its own. 0: no bound."`
	ConnectsAtOnce int           `name:"connects-at-once" default:"1000" unit:"connections" min:"0" max:"10000000" help:"How many new connections may be on their way in, however slow the disk is. 0: no bound."`
	Connections    int           `name:"connections" default:"2000" unit:"connections" min:"0" max:"10000000" help:"Connections from one address at one time. 0: no bound."`
}

// Shutdown holds the keys shutdown.*.
type Shutdown struct {
	Window time.Duration `name:"window" default:"10s" min:"1s" max:"1h" help:"How long a stopping server lets its connections and what is under way finish."`
}

// settle carries out the keys that decide about others.
func (c *Config) settle() {
	if c.Limits == "off" {
		c.Limit = Limit{}
	}
}

// Server returns c itself: a command that embeds a Config is found by it.
func (c *Config) Server() *Config { return c }

// DemoDefaults are the defaults of a server that is only tried out: every port
// that a published snippet names, pages from anywhere on this machine, a feed
// that everybody speaks on, no limits on addresses, since there is only one, no
// canary among the few who are there, and no folder, which is for the caller to choose.
func DemoDefaults() map[string]string {
	return map[string]string{
		"listen": "127.0.0.1:8080,[::1]:8080,127.0.0.1:3000,[::1]:3000," +
			"127.0.0.1:5050,[::1]:5050,127.0.0.1:8084,[::1]:8084",
		"data":                "",
		"origins":             "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,null",
		"feed.publish":        "anyone",
		"outbound.allow":      "127.0.0.0/8,::1/128",
		"canary.every":        "0s",
		"limit.registrations": "0",
		"limit.logins":        "0",
		"limit.refused_codes": "0",
		"limit.connections":   "0",
	}
}
