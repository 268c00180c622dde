package api

import (
	"encoding/json"
	"net/http"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/status"
)

// maxSource bounds a process's source.
const maxSource = 64 << 10

// version is one version of a process.
type version struct {
	Version int    `json:"version"`
	Created string `json:"created"`
}

// shown is a process as the administrator sees it.
type shown struct {
	Name      string          `json:"name"`
	Version   int             `json:"version"`
	Published int             `json:"published"` // 0: none
	Versions  []version       `json:"versions"`
	Inputs    []process.Field `json:"inputs"`
	Outputs   []process.Field `json:"outputs"`
	Source    string          `json:"source,omitempty"`
	Secret    string          `json:"secret,omitempty"`
}

func showProcess(p process.Info) shown {
	v := shown{
		Name: p.Name, Version: p.Version, Published: p.Published, Source: p.Source, Secret: p.Secret,
		Versions: make([]version, len(p.Versions)), Inputs: []process.Field{}, Outputs: []process.Field{},
	}
	for i, one := range p.Versions {
		v.Versions[i] = version{one.Version, one.Created.UTC().Format(timeFormat)}
	}
	if p.Definition != nil {
		v.Inputs, v.Outputs = append(v.Inputs, p.Definition.Inputs...), append(v.Outputs, p.Definition.Outputs...)
	}
	return v
}

// listProcesses is GET /v1/processes → {processes}.
func (a *API) listProcesses(w http.ResponseWriter, r *http.Request) error {
	all, err := a.o.Processes.List(r.Context())
	if err != nil {
		return err
	}
	type line struct {
		Name      string `json:"name"`
		Version   int    `json:"version"`
		Published int    `json:"published"`
	}
	out := make([]line, len(all))
	for i, p := range all {
		out[i] = line{p.Name, p.Version, p.Published}
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"processes": out})
	return nil
}

// process is GET /v1/processes/{name}[?version=].
func (a *API) process(w http.ResponseWriter, r *http.Request) error {
	n, err := versionNumber(r.URL.Query().Get("version"))
	if err != nil {
		return err
	}
	p, err := a.o.Processes.Get(r.Context(), r.PathValue("name"), n)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, showProcess(p))
	return nil
}

// versionNumber reads a version; "" is the newest.
func versionNumber(text string) (int, error) {
	n, err := number("version", text, 0)
	if err == nil && n > 1<<31-1 {
		err = process.ErrNoVersion
	}
	return int(n), err
}

// saveProcess is PUT /v1/processes/{name} with YAML or JSON → {version}; what
// does not compile is 422 with errors:[{line, column, message}].
func (a *API) saveProcess(w http.ResponseWriter, r *http.Request) error {
	source, err := gateway.ReadBody(w, r, maxSource)
	if err != nil {
		return err
	}
	n, err := a.o.Processes.Save(r.Context(), r.PathValue("name"), source)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"version": n})
	return nil
}

// dropProcess is DELETE /v1/processes/{name}.
func (a *API) dropProcess(w http.ResponseWriter, r *http.Request) error {
	if err := a.o.Processes.Delete(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// action is what a run would have done.
type action struct {
	Do   string `json:"do"`
	Line int    `json:"line"`
	To   string `json:"to,omitempty"`
	Text string `json:"text,omitempty"`
	Data any    `json:"data,omitempty"`
}

// tryProcess is POST /v1/processes/{name}/try {inputs, version?, user?, on?,
// answer?} → {outputs, rule, line, actions, error?, reason?}: error is what the
// other end would get, reason is for the author. Nothing is carried out.
func (a *API) tryProcess(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Inputs  json.RawMessage `json:"inputs"`
		Version uint64          `json:"version"`
		User    uint64          `json:"user"`
		On      string          `json:"on"`
		Answer  json.RawMessage `json:"answer"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Version > 1<<31-1 {
		return process.ErrNoVersion
	}
	t := process.Trial{Inputs: in.Inputs, User: in.User, On: in.On, Answer: in.Answer}
	got, err := a.o.Processes.Try(r.Context(), r.PathValue("name"), int(in.Version), t)
	if err != nil {
		return err
	}
	actions := make([]action, len(got.Actions))
	for i, did := range got.Actions {
		actions[i] = action(did)
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Outputs map[string]any `json:"outputs"`
		Rule    int            `json:"rule"`
		Line    int            `json:"line"`
		Actions []action       `json:"actions"`
		Error   *process.Bad   `json:"error,omitempty"`
		Reason  string         `json:"reason,omitempty"`
	}{got.Outputs, got.Rule, got.Line, actions, got.Error, got.Reason})
	return nil
}

// publishProcess is POST /v1/processes/{name}/publish {version?} → {version}.
func (a *API) publishProcess(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Version uint64 `json:"version"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Version > 1<<31-1 {
		return process.ErrNoVersion
	}
	n, err := a.o.Processes.Publish(r.Context(), r.PathValue("name"), int(in.Version))
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"version": n})
	return nil
}

// bound is an endpoint as the administrator sees it.
type bound struct {
	URL     string   `json:"url"`
	Process string   `json:"process"`
	Version int      `json:"version"`
	Access  any      `json:"access"` // "anonymous", "users", or groups
	Follow  []string `json:"follow"`
}

func showAccess(a process.Access) any {
	switch {
	case a.Anonymous:
		return "anonymous"
	case len(a.Groups) > 0:
		return a.Groups
	}
	return "users"
}

func showEndpoint(e *process.Endpoint) bound {
	return bound{e.URL, e.Process, e.Version, showAccess(e.Access), append([]string{}, e.Follow...)}
}

// listEndpoints is GET /v1/endpoints → {endpoints}: those whose process is
// published.
func (a *API) listEndpoints(w http.ResponseWriter, _ *http.Request) error {
	out := []bound{}
	for _, e := range a.o.Processes.Endpoints() {
		out = append(out, showEndpoint(e))
	}
	gateway.WriteJSON(w, http.StatusOK, map[string]any{"endpoints": out})
	return nil
}

// endpoint is GET /v1/endpoints/{url}.
func (a *API) endpoint(w http.ResponseWriter, r *http.Request) error {
	url, err := process.CleanURL(r.PathValue("url"))
	if err != nil {
		return err
	}
	e := a.o.Processes.Endpoint(url)
	if e == nil {
		return process.ErrNoEndpoint
	}
	gateway.WriteJSON(w, http.StatusOK, showEndpoint(e))
	return nil
}

// setEndpoint is PUT /v1/endpoints/{url} {process, access?} → the endpoint.
// Until its process is published nobody finds it, and its version is 0.
func (a *API) setEndpoint(w http.ResponseWriter, r *http.Request) error {
	spec, err := readBinding(w, r)
	if err != nil {
		return err
	}
	url, err := process.CleanURL(r.PathValue("url"))
	if err != nil {
		return err
	}
	if err := a.o.Processes.SetEndpoint(r.Context(), url, spec); err != nil {
		return err
	}
	if e := a.o.Processes.Endpoint(url); e != nil {
		gateway.WriteJSON(w, http.StatusOK, showEndpoint(e))
		return nil
	}
	row, err := a.o.Processes.Bound(r.Context(), url)
	if err != nil {
		return err
	}
	gateway.WriteJSON(w, http.StatusOK, bound{URL: url, Process: row.Process, Access: showAccess(row.Access), Follow: []string{}})
	return nil
}

// readBinding reads what is to stand at a URL. A key that is not known is
// refused: who may use an endpoint must not be a misspelling's doing.
func readBinding(w http.ResponseWriter, r *http.Request) (process.EndpointSpec, error) {
	var in struct {
		Process string          `json:"process"`
		Access  json.RawMessage `json:"access"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return process.EndpointSpec{}, err
	}
	spec := process.EndpointSpec{Process: in.Process, Keep: in.Access == nil}
	if spec.Keep {
		return spec, nil
	}
	var err error
	spec.Access, err = readAccess(in.Access)
	return spec, err
}

// readAccess reads "anonymous", "users" or an array of groups.
func readAccess(raw json.RawMessage) (process.Access, error) {
	var word string
	var groups []string
	if string(raw) == "null" || json.Unmarshal(raw, &word) != nil && json.Unmarshal(raw, &groups) != nil {
		return process.Access{}, status.Errorf(status.Invalid, "BAD_ACCESS", `access is "anonymous", "users", or an array of groups`)
	}
	if groups != nil && len(groups) == 0 {
		return process.Access{}, status.Errorf(status.Invalid, "BAD_ACCESS", `access names no group; write "users" for every account`)
	}
	return process.ParseAccess(word, groups)
}

// dropEndpoint is DELETE /v1/endpoints/{url}: its sockets close with 4004.
func (a *API) dropEndpoint(w http.ResponseWriter, r *http.Request) error {
	url, err := process.CleanURL(r.PathValue("url"))
	if err != nil {
		return err
	}
	if err := a.o.Processes.DropEndpoint(r.Context(), url); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
