package transcript

import "testing"

func TestDollarSigns(t *testing.T) {
	v := newValues(nil, "")
	if !v.fits(`a< {"$$id":$n,"id":"$id"}`, `a< {"$id":7,"id":"x-1"}`) {
		t.Fatal("a dollar sign does not fit itself")
	}
	if v.fits(`a< {"$$id":7}`, `a< {"id":7}`) {
		t.Error("a dollar sign fits nothing")
	}
	if got, err := v.expand(`{"$$id":"$id","$$$id":"$$$$"}`); err != nil || got != `{"$id":"x-1","$x-1":"$$"}` {
		t.Errorf("%s, %v", got, err)
	}
	const line = `a< {"$id":"x-1","$other":"$","id":"x-2"}`
	if got := v.describe(line); !newValues(nil, "").fits(got, line) || got != `a< {"$$id":"$id","$$other":"$$","id":"$id1"}` {
		t.Errorf("described as %s", got)
	}
}
