//go:build !linux

package checker

import "errors"

// rig is a disk whose power can be cut, which only Linux lets us make.
type rig struct{ mount string }

var errNoRig = errors.New("the troubles that need a disk of their own need Linux; choose others with --troubles")

func newRig(string) (*rig, error)        { return nil, errNoRig }
func (*rig) cut() error                  { return errNoRig }
func (*rig) restore() error              { return errNoRig }
func (*rig) fill() (func() error, error) { return nil, errNoRig }
func (*rig) close() error                { return nil }
