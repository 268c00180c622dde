package ws

import "unicode/utf8"

// Close codes of RFC 6455, section 7.4.1, and Kabar's own that this package
// uses by itself.
const (
	CodeNormal      uint16 = 1000
	CodeGoingAway   uint16 = 1001
	CodeProtocol    uint16 = 1002
	CodeNoStatus    uint16 = 1005 // never on the wire: a Close frame without a code
	CodeAbnormal    uint16 = 1006 // never on the wire: no Close frame
	CodeInvalidUTF8 uint16 = 1007
	CodeTooBig      uint16 = 1009
	CodeInternal    uint16 = 1011
	CodeTooSlow     uint16 = 4008
	CodeTooMany     uint16 = 4029
)

// maxReason is what a control frame leaves beside the code.
const maxReason = maxControl - 2

// ValidCloseCode tells whether a code may stand in a Close frame.
func ValidCloseCode(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != CodeNoStatus && code != CodeAbnormal
	}
	return false
}

// AppendClose appends an unmasked Close frame. A code that may not stand on the
// wire makes it an empty one; a reason is cut to 123 bytes, at a character.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if !ValidCloseCode(code) {
		return append(dst, 0x80|opClose, 0)
	}
	reason = cutReason(reason)
	dst = append(dst, 0x80|opClose, byte(2+len(reason)), byte(code>>8), byte(code))
	return append(dst, reason...)
}

func cutReason(s string) string {
	if len(s) > maxReason {
		n := maxReason
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	if !utf8.ValidString(s) {
		return ""
	}
	return s
}

// parseClose reads the payload of a Close frame that came. A violation is the
// code to close with; 0 is none.
func parseClose(p []byte) (code uint16, reason string, violation uint16) {
	if len(p) == 0 {
		return CodeNoStatus, "", 0
	}
	if len(p) == 1 {
		return 0, "", CodeProtocol
	}
	code = uint16(p[0])<<8 | uint16(p[1])
	if !ValidCloseCode(code) {
		return 0, "", CodeProtocol
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", CodeInvalidUTF8
	}
	return code, string(p[2:]), 0
}
