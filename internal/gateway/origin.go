package gateway

import (
	"fmt"
	"net/http"
	"strings"
)

// Origins is the allow-list of web origins: "https://example.com",
// "http://localhost:*" for any port, or "null" for a page opened from a file.
// A page of this server itself is always allowed.
type Origins struct {
	exact map[string]bool
	any   []string // scheme and host of those with any port, with the last colon
}

// ParseOrigins reads the list; an error names the entry and what it should be.
func ParseOrigins(list []string) (*Origins, error) {
	o := &Origins{exact: map[string]bool{}}
	for _, entry := range list {
		scheme, host, ok := strings.Cut(entry, "://")
		switch {
		case entry == "null":
			o.exact[entry] = true
		case !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@ "):
			return nil, fmt.Errorf("origin %q: write scheme://host or scheme://host:port (port * for any), or null", entry)
		case strings.HasSuffix(host, ":*"):
			o.any = append(o.any, strings.ToLower(strings.TrimSuffix(entry, "*")))
		case strings.Contains(host, "*"):
			return nil, fmt.Errorf("origin %q: * stands for a port only", entry)
		default:
			o.exact[strings.ToLower(entry)] = true
		}
	}
	return o, nil
}

// Allowed says whether a request with these Origin and Host headers may act.
// A tool sends no Origin, and may.
func (o *Origins) Allowed(origin, host string) bool {
	if origin == "" {
		return true
	}
	origin = strings.ToLower(origin)
	scheme, at, _ := strings.Cut(origin, "://")
	if (scheme == "http" || scheme == "https") && host != "" && at == strings.ToLower(host) {
		return true
	}
	return o.Listed(origin)
}

// Listed says whether an Origin is on the list.
func (o *Origins) Listed(origin string) bool {
	origin = strings.ToLower(origin)
	if o.exact[origin] {
		return true
	}
	for _, prefix := range o.any {
		if port, ok := strings.CutPrefix(origin, prefix); ok && port != "" && strings.Trim(port, "0123456789") == "" {
			return true
		}
	}
	return false
}

// Guard lets pages of listed origins read the answers of next (CORS), and
// keeps pages of others from acting: an unsafe method with a foreign Origin is
// answered by refuse, with 403.
func (o *Origins) Guard(next http.Handler, refuse http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin != "" && o.Listed(origin) {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Add("Vary", "Origin")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, apikey, Last-Event-ID")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			if !o.Allowed(origin, r.Host) {
				refuse(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
