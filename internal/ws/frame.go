package ws

import "encoding/binary"

const (
	opContinuation = 0
	opText         = byte(Text)
	opBinary       = byte(Binary)
	opClose        = 8
	opPing         = 9
	opPong         = 10

	maxControl = 125 // payload of a control frame
	maxHeader  = 14  // bytes of a frame's header
)

// header is a frame's header, RFC 6455, section 5.2.
type header struct {
	fin    bool
	rsv    byte // the three reserved bits, in place
	op     byte
	masked bool
	key    uint32 // the mask, little endian: its first byte is the lowest
	length uint64
}

func (h *header) control() bool { return h.op >= opClose }

// parseHeader reads a header at the start of b. n is its length in bytes, 0
// where b ends inside it; ok is false for what no state allows, which is told
// from the first bytes that show it.
func parseHeader(b []byte) (h header, n int, ok bool) {
	if len(b) == 0 {
		return h, 0, true
	}
	h.fin, h.rsv, h.op = b[0]&0x80 != 0, b[0]&0x70, b[0]&0x0f
	if h.rsv != 0 || h.op > opBinary && h.op < opClose || h.op > opPong || h.control() && !h.fin {
		return h, 0, false
	}
	if len(b) == 1 {
		return h, 0, true
	}
	h.masked, h.length, n = b[1]&0x80 != 0, uint64(b[1]&0x7f), 2
	if h.control() && h.length > maxControl {
		return h, 0, false
	}
	switch h.length {
	case 126:
		if len(b) < 4 {
			return h, 0, true
		}
		h.length, n = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if h.length < 126 { // the shortest form is a MUST
			return h, 0, false
		}
	case 127:
		if len(b) < 10 {
			return h, 0, true
		}
		h.length, n = binary.BigEndian.Uint64(b[2:]), 10
		if h.length < 1<<16 || h.length>>63 != 0 {
			return h, 0, false
		}
	}
	if h.masked {
		if len(b) < n+4 {
			return h, 0, true
		}
		h.key = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	return h, n, true
}

// follows tells whether a frame may come now: from a client it is masked; a
// continuation continues something, and nothing else starts in between.
func (h *header) follows(inMessage bool) bool {
	return h.masked && (h.control() || inMessage == (h.op == opContinuation))
}

// AppendHeader appends the header of an unmasked frame.
func AppendHeader(dst []byte, fin bool, opcode byte, length int) []byte {
	if fin {
		opcode |= 0x80
	}
	switch {
	case length < 126:
		return append(dst, opcode, byte(length))
	case length < 1<<16:
		return append(dst, opcode, 126, byte(length>>8), byte(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, opcode, 127), uint64(length))
}

// AppendFrame appends a whole unmasked frame, as Conn.Send wants it.
func AppendFrame(dst []byte, opcode byte, payload []byte) []byte {
	return append(AppendHeader(dst, true, opcode, len(payload)), payload...)
}

// AppendText appends a text message in one frame.
func AppendText(dst, payload []byte) []byte { return AppendFrame(dst, opText, payload) }

// AppendBinary appends a binary message in one frame.
func AppendBinary(dst, payload []byte) []byte { return AppendFrame(dst, opBinary, payload) }

// frameLen is the length of the unmasked frame at the start of b, at most len(b).
func frameLen(b []byte) int {
	h, n, ok := parseHeader(b)
	if !ok || n == 0 || h.length > uint64(len(b)-n) {
		return len(b)
	}
	return n + int(h.length)
}
