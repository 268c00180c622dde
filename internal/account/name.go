package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/kabar-io/kabar/internal/status"
)

// CleanName is a name as others see it: spaces are single ones, everything
// shows, and it has at most 35 characters. "" is no name.
func CleanName(name string) (string, error) {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !shows(r) && !joins(r) }) {
		return "", status.Errorf(status.Invalid, "NAME_INVALID", "the name has characters that do not show, or is not valid UTF-8")
	}
	name = strings.Join(strings.Fields(name), " ")
	switch {
	case name != "" && strings.TrimSpace(bare(name)) == "":
		return "", status.Errorf(status.Invalid, "NAME_INVALID", "the name has nothing that shows")
	case utf8.RuneCountInString(name) > maxDisplay:
		return "", status.Errorf(status.Invalid, "NAME_TOO_LONG", "the name is longer than %d characters", maxDisplay)
	}
	return name, nil
}

// cleanDisplay is a clean name that is one.
func cleanDisplay(name string) (string, error) {
	name, err := CleanName(name)
	if err == nil && name == "" {
		err = status.Errorf(status.Invalid, "NAME_REQUIRED", "the name is empty")
	}
	return name, err
}

// nameKey is what names that look alike have in common: they are told apart
// neither by case, spacing or width, nor by how a letter is put together, nor
// by what does not show. Letters of other scripts that look alike are.
func nameKey(name string) string { return fold(bare(norm.NFKC.String(name))) }

// shows says whether a character takes ink or is a space. The blanks that count
// as letters, marks or symbols would make names that look empty, or like
// another.
func shows(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u17d2', '\u2800', '\u2d7f', '\u3164', '\uffa0',
		'\U0001107f', '\U00013441', '\U00016fe4', '\U0001d159':
		return false
	case '\u2028', '\u2029', '\u0085':
		return false
	}
	return unicode.IsGraphic(r) && !joins(r)
}

// joins says whether a character only shapes its neighbours, which scripts and
// emoji need: joiners, variation selectors and the tags of flags.
func joins(r rune) bool {
	return r == '\u200c' || r == '\u200d' || unicode.Is(unicode.Variation_Selector, r) || r >= 0xe0020 && r <= 0xe007f
}

// bare is a name without what may not show in it.
func bare(name string) string {
	return strings.Map(func(r rune) rune {
		if joins(r) {
			return -1
		}
		return r
	}, name)
}
