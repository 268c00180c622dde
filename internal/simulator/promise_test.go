package simulator

import (
	"os"
	"strings"
	"testing"
)

func TestThePromisesAreTheREADMEs(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(strings.NewReplacer("**", "", "`", "").Replace(string(b)), "\n## What it promises\n")
	list, _, _ = strings.Cut(list, "\n## ")
	for _, p := range []promise{durable, inOrder, wholePast, upgraded, unhindered, obedient} {
		before := len(list)
		if list = strings.Replace(list, string(p), "", 1); len(list) == before {
			t.Errorf("the README does not say: %s", p)
		}
	}
	for _, line := range strings.Split(list, "\n") {
		if rest := strings.Trim(line, "0123456789. "); rest != "" {
			t.Errorf("the README promises what is not checked: %s", rest)
		}
	}
}
