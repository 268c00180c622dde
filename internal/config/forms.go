package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// forms are the checks of texts that a field's form tag names.
var forms = map[string]func(string) error{
	"address": checkAddress,
	"origin":  checkOrigin,
	"event":   checkEvent,
	"prefix":  checkPrefix,
	"url":     checkURL,
	"whsec":   checkSigningSecret,
	"ice": func(s string) error {
		if u, err := url.Parse(s); err != nil || u.Opaque == "" || !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, u.Scheme) {
			return fmt.Errorf("%q is not a server for calls; write it as stun:stun.example.com:3478", s)
		}
		return nil
	},
	"mailserver": func(s string) error {
		if s == "" {
			return nil
		}
		return checkAddress(s)
	},
	"mailfrom": func(s string) error {
		if _, err := mail.ParseAddress(s); s != "" && err != nil {
			return fmt.Errorf("%q is not an address; write it as Kabar <kabar@example.com>", s)
		}
		return nil
	},
	"instance": func(s string) error {
		if s != "" && (len(s) > 64 || !instanceName.MatchString(s)) {
			return fmt.Errorf("%q is not an instance's name; write letters, digits and . _ -, the first a letter or a digit", s)
		}
		return nil
	},
	"folder": func(s string) error {
		if s == "" {
			return errors.New("it is empty; name a folder, as ./kabar-data")
		}
		return nil
	},
	"secret": func(s string) error {
		// It travels in an HTTP header.
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("it may only hold printable ASCII without blanks")
		}
		return nil
	},
}

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port; write it as 127.0.0.1:8080, [::1]:8080 or :8080", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q has no port that can be: it ends in a number from 0 to 65535", s)
	}
	return nil
}

func checkOrigin(s string) error {
	if s == "null" {
		return nil
	}
	fixed := strings.TrimSuffix(s, ":*")
	u, err := url.Parse(fixed)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Contains(fixed, "*") ||
		u.Scheme+"://"+u.Host != fixed || fixed != s && u.Port() != "" {
		return fmt.Errorf("%q is not an origin; write it as https://example.com, http://localhost:* or null", s)
	}
	return nil
}

func checkPrefix(s string) error {
	if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() {
		return fmt.Errorf("%q is not a range of addresses; write it as 10.1.0.0/16 or ::1/128", s)
	}
	return nil
}

func checkURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL; write it as https://example.com/hook", s)
	}
	return nil
}

func checkSigningSecret(s string) error {
	if s == "" {
		return nil
	}
	coded, ok := strings.CutPrefix(s, "whsec_")
	if b, err := base64.StdEncoding.DecodeString(coded); !ok || err != nil || len(b) < 24 || len(b) > 64 {
		return errors.New("it is not whsec_ and the base64 of 24 to 64 bytes")
	}
	return nil
}

var eventName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

var instanceName = regexp.MustCompile(`^[\pL\pN][\pL\pN._-]*$`)

func checkEvent(s string) error {
	if len(s) > 64 || !eventName.MatchString(s) {
		return fmt.Errorf("%q is not an event name; write up to 64 of A-Z a-z 0-9 _ - with dots between, as order.paid", s)
	}
	return nil
}

// conflicts are the keys that do not fit each other. What is wrong with a key
// by itself is found where it is read.
func (c *Config) conflicts() Problems {
	var ps Problems
	wrong := func(key, text string, args ...any) {
		ps = append(ps, Problem{Key: key, Text: fmt.Sprintf(text, args...)})
	}
	if len(c.Listen) == 0 {
		wrong("listen", "it is empty; name at least one host:port, as 127.0.0.1:8080")
	}
	seen := map[string]bool{}
	for _, address := range c.Listen {
		if seen[address] && !strings.HasSuffix(address, ":0") {
			wrong("listen", "%s is named twice", address)
		}
		seen[address] = true
	}
	if k := c.Keepalive; k.Dead > 0 && k.Dead <= k.Ping {
		wrong("keepalive.dead", "%s is not longer than keepalive.ping, %s: every quiet connection would be closed before its ping is answered",
			format(k.Dead), format(k.Ping))
	} else if k.Dead > 0 && k.Ping == 0 {
		wrong("keepalive.dead", "without keepalive.ping every quiet connection would be closed; set keepalive.ping, or this to 0")
	}
	if d := c.Direct; d.Frame > 0 && d.Text > d.Frame {
		wrong("direct.text", "%s does not fit into direct.frame, %s", d.Text, d.Frame)
	}
	if l := c.Limit; c.Limits != "off" && l.Frames.N > 0 && l.FrameBurst == 0 {
		wrong("limit.frame_burst", "with limit.frames on it must be 1 or more; for no bound on frames set limit.frames to 0")
	}
	if m := c.Mail; m.Server != "" && m.From == "" {
		wrong("mail.from", "with mail.server set it is needed: whom the mail is from")
	}
	if l := c.Login; l.Idle < c.Direct.CodeTTL {
		wrong("login.idle", "%s is shorter than direct.code_ttl, %s", format(l.Idle), format(c.Direct.CodeTTL))
	}
	return ps
}
