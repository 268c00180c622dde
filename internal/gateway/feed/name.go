package feed

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
)

const maxName = 35 // characters, as an account's display name

var (
	errName     = status.Errorf(status.Invalid, "NAME_INVALID", "the name has characters that do not show, or is not valid UTF-8")
	errNameLong = status.Errorf(status.Invalid, "NAME_TOO_LONG", "the name is longer than %d characters", maxName)
	errNameHeld = status.Errorf(status.Forbidden, "NAME_TAKEN", "this name belongs to an account; log in to it, or choose another")
)

// cleanName is a name as others see it: spaces are single ones, and everything
// shows. "" is no name.
func cleanName(name string) (string, error) {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !shows(r) && !joins(r) }) {
		return "", errName
	}
	name = strings.Join(strings.Fields(name), " ")
	switch {
	case name != "" && strings.ContainsFunc(name, joins) && strings.TrimSpace(bare(name)) == "":
		return "", errName
	case utf8.RuneCountInString(name) > maxName:
		return "", errNameLong
	}
	return name, nil
}

// shows says whether a character takes ink or is a space. The blanks that count
// as letters or symbols would make names that look empty, or like another.
func shows(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
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

// mayUse says whether somebody, u.ID 0 for nobody, may go by a clean name.
func mayUse(ctx context.Context, accounts *account.Service, u account.User, name string) error {
	if name == "" {
		return nil
	}
	_, handle, display := u.Keys()
	for _, form := range []string{name, bare(name)} {
		_, _, key := account.User{Display: form}.Keys()
		if u.ID != 0 && (key == handle || key == display) {
			return nil
		}
		if taken, err := accounts.NameTaken(ctx, form); err != nil {
			return err
		} else if taken {
			return errNameHeld
		}
	}
	return nil
}
