package process

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
)

// Trial is a run that is looked at.
type Trial struct {
	Inputs json.RawMessage // the frame; for on message {text, data, topic, from}, for on event {name, instance, data}
	User   uint64          // as whom, 0 for nobody
	On     string          // "": a frame
	Answer json.RawMessage // what calls are answered with; none is made
}

// TrialResult is what would have come of it.
type TrialResult struct {
	Outputs map[string]any `json:"outputs"`
	Rule    int            `json:"rule"` // from 1; 0: none held
	Line    int            `json:"line"` // of the rule, 0 for none
	Actions []ActionShown  `json:"actions"`
	Error   *Bad           `json:"error,omitempty"`  // what the other end would have got
	Reason  string         `json:"reason,omitempty"` // why, which the other end does not learn
}

// ActionShown is something that would have been done.
type ActionShown struct {
	Do   string `json:"do"`
	Line int    `json:"line"`
	To   string `json:"to,omitempty"`
	Text string `json:"text,omitempty"`
	Data any    `json:"data,omitempty"`
}

// Try runs a version, 0 for the newest, and carries nothing out.
func (s *Service) Try(ctx context.Context, name string, version int, t Trial) (TrialResult, error) {
	_, source, err := s.version(ctx, name, version)
	if err != nil {
		return TrialResult{}, err
	}
	d, faults := Check(source)
	if len(faults) > 0 {
		return TrialResult{}, &FaultsError{faults}
	}
	if t.On == "" {
		t.On = OnFrame
	}
	if !slices.Contains(triggers, t.On) {
		return TrialResult{}, status.Errorf(status.Invalid, "TRIGGER_UNKNOWN", "there is no trigger %.80q", t.On)
	}
	env, bad, err := s.stage(ctx, d, t)
	if err != nil {
		return TrialResult{}, err
	}
	if bad != nil {
		return TrialResult{Outputs: map[string]any{}, Actions: []ActionShown{}, Error: bad}, nil
	}
	return s.try(ctx, d, t, env)
}

// stage makes what a trial's expressions see.
func (s *Service) stage(ctx context.Context, d *Definition, t Trial) (map[string]any, *Bad, error) {
	var user *account.User
	var groups []string
	if t.User != 0 {
		u, err := s.o.Accounts.User(ctx, t.User)
		if err != nil {
			return nil, nil, err
		}
		if groups, err = s.o.Accounts.Groups(ctx, u.ID); err != nil {
			return nil, nil, err
		}
		user = &u
	}
	url := ""
	if d.Endpoint != nil {
		url = d.Endpoint.URL
	}
	env := map[string]any{}
	if t.On != OnEvent {
		env["user"] = userValue(user, groups)
		env["session"] = record(map[string]any{"id": "trial", "address": "", "endpoint": url})
	}
	if t.On == OnFrame {
		object, err := t.object()
		if err != nil {
			return nil, nil, err
		}
		return env, d.inputs(object, env), nil
	}
	return env, nil, t.show(env, user)
}

func (t *Trial) object() (map[string]json.RawMessage, error) {
	object := map[string]json.RawMessage{}
	if len(t.Inputs) == 0 {
		return object, nil
	}
	if err := json.Unmarshal(t.Inputs, &object); err != nil {
		return nil, status.Errorf(status.Invalid, "INPUTS_INVALID", "the inputs are not a JSON object")
	}
	return object, nil
}

// show puts what a trigger other than a frame has into env.
func (t *Trial) show(env map[string]any, user *account.User) error {
	var in struct {
		Text, Topic, Name, Instance string
		Data                        json.RawMessage
		From                        account.Profile
	}
	if user != nil {
		in.From = user.Profile()
	}
	if len(t.Inputs) > 0 {
		if err := json.Unmarshal(t.Inputs, &in); err != nil {
			return status.Errorf(status.Invalid, "INPUTS_INVALID", "the inputs of this trigger cannot be read: %.200v", err)
		}
	}
	switch t.On {
	case OnEvent:
		env["event"] = eventValue(in.Name, in.Instance, in.Data)
	case OnMessage:
		env["from"], env["message"] = profileValue(in.From), messageValue(Trigger{Text: in.Text, Topic: in.Topic, Data: in.Data})
	default:
		env["from"] = profileValue(in.From)
	}
	return nil
}

func (s *Service) try(ctx context.Context, d *Definition, t Trial, env map[string]any) (TrialResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout(d))
	defer cancel()
	if err := enter(ctx, s.trial.cpu); err != nil {
		return TrialResult{}, status.Errorf(status.Unavailable, "BUSY", "too many trials run at the moment; try again")
	}
	defer leave(s.trial.cpu)
	r := TrialResult{Outputs: map[string]any{}, Actions: []ActionShown{}}
	out, err := d.run(ctx, t.On, env, nil, func(st *step, query map[string]string, body []byte) (any, error) {
		req, err := s.request(job{process: d.Name}, st, query, body)
		if err != nil {
			return nil, err
		}
		r.Actions = append(r.Actions, ActionShown{Do: doCall, Line: st.line, To: req.Method + " " + req.URL, Data: shown(body)})
		return answerOf(t.Answer)
	})
	if out.rule != nil {
		r.Rule, r.Line = out.rule.index, out.rule.line
	}
	for _, a := range out.actions {
		r.Actions = append(r.Actions, a.shown())
	}
	if err != nil {
		r.Error, r.Reason = failed(), cut(err.Error(), 500)
		if ctx.Err() != nil {
			r.Error = timedOut()
		}
		return r, nil
	}
	if out.outputs != nil {
		r.Outputs = out.outputs
	}
	return r, nil
}

func shown(data []byte) any {
	if data == nil {
		return nil
	}
	return json.RawMessage(data)
}

func (a *action) shown() ActionShown {
	s := ActionShown{Do: a.step.do, Line: a.step.line, Text: a.text, Data: shown(a.data)}
	switch t := a.step.target; {
	case a.step.do == doSend:
		s.To = (&machine{}).written(a.person)
	case a.step.do == doNotify:
		s.To = a.step.to + " " + a.step.name
	case t.feed:
		s.To = "feed"
	case t.group != 0:
		s.To = "room/" + (&machine{}).written(int(t.group))
	default:
		s.To = "endpoint"
	}
	return s
}
