// Package api is Kabar's own HTTP under /v1, what whoever runs the server needs
// (/healthz, /readyz, /metrics), and the descriptions of what this server
// offers: /openapi.json, /asyncapi.json, and /docs for people. Errors are RFC
// 9457 problem details with a stable type and our code.
//
// route.go is the table of what is served, and what /openapi.json says of it:
// publishing and reading topics, processes and endpoints, webhooks, accounts and
// groups. An Idempotency-Key makes a POST that says something happen once, and
// Kabar-Hops says how many processes in a row led to it.
//
// It owns the administrator's key at the door; it makes no rule of its own.
package api
