// Package api is Kabar's own HTTP: publishing under /v1, and what whoever runs
// the server needs: /healthz, /readyz, /metrics. Errors are RFC 9457 problem
// details with a stable type and our code.
//
//	POST /v1/publish                 the administrator's: {topic:"feed", text}, {user:<id>, message},
//	                                 {users:"all", message} or {instance, event, data} → 202 {id, seq}
//	POST /v1/instances/{name}/events the administrator's and the instance's own: {event, data}, or an
//	                                 array of at most 100 → 202 {accepted:[{id, seq}]}
//
// An Idempotency-Key makes a POST happen once. It owns the administrator's key at the door; it makes no rule of its own.
package api
