package events_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestNamesAreListed has the page of the dialect name every event that there is.
func TestNamesAreListed(t *testing.T) {
	page, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(page), func(c rune) bool { return strings.ContainsRune(" ,/\t\n", c) })
	for _, name := range start(t, &rig{}).service.Names().All() {
		if !slices.Contains(words, name) {
			t.Errorf("doc.go does not list %s", name)
		}
	}
}
