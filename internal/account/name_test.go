package account

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"  ", ""},
		{"Ann", "Ann"},
		{"  Ann\u00a0 \u3000B ", "Ann B"},
		{"👩\u200d🚀", "👩\u200d🚀"},
		{"☎\ufe0f", "☎\ufe0f"},
		{"سارا\u200cجان", "سارا\u200cجان"},
		{strings.Repeat("ä", 35), strings.Repeat("ä", 35)},
	} {
		if got, err := CleanName(c.in); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{
		strings.Repeat("ä", 36), "a\x00", "a\nb", "a\tb", "a\u0085b", "a\u2028b", "\u202eAnn", "A\u200bnn", "\ufeffAnn", "\u200d", "\u3164", "\u2800",
		"\xff", "a\u00ad", "\ue000", "\u200c \u200d", "\u2d7f", "x\U0001d159",
	} {
		if got, err := CleanName(in); err == nil {
			t.Errorf("%q is taken as %q", in, got)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"Ann", " a  b ", "\u200d", "A\u200bnn", "\xff\x00", "👩\u200d🚀", strings.Repeat("x", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		name, err := CleanName(in)
		if err != nil {
			if name != "" {
				t.Fatalf("%q: a name and an error", in)
			}
			return
		}
		if again, err := CleanName(name); err != nil || again != name {
			t.Fatalf("%q becomes %q and then %q, %v", in, name, again, err)
		}
		if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxDisplay || strings.TrimSpace(name) != name {
			t.Fatalf("%q becomes %q", in, name)
		}
		if name != "" && strings.TrimSpace(bare(name)) == "" {
			t.Fatalf("%q does not show", name)
		}
	})
}

func TestNamesThatLookAlikeHaveOneKey(t *testing.T) {
	for _, pair := range [][2]string{
		{"José", "jose\u0301"}, {"alice", "ａｌｉｃｅ"}, {"zara", "z\u200dara"}, {"Ann B", "ann   b"}, {"ﬁna", "fina"},
	} {
		if nameKey(pair[0]) != nameKey(pair[1]) {
			t.Errorf("%q and %q are told apart", pair[0], pair[1])
		}
	}
	if nameKey("jose") == nameKey("josé") {
		t.Error("an accent makes no difference")
	}
}
