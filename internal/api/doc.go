// Package api is Kabar's own HTTP: publishing under /v1, and what whoever runs
// the server needs: /healthz, /readyz, /metrics. Errors are RFC 9457 problem
// details with a stable type and our code.
//
// It owns the administrator's key at the door; it makes no rule of its own.
package api
