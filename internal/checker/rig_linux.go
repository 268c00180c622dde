package checker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// rig is a disk for one server: a file system of its own in a file, whose power
// can be cut and which can be full. It takes root, losetup and mkfs.ext4.
type rig struct{ image, mount string } // static

const (
	rigSize    = 16 << 30 // the file has holes
	rigLeft    = 64 << 10 // what a full disk has left
	shutdown   = 0x8004587d
	noLogFlush = uint32(2)
)

// newRig makes a disk in folder.
func newRig(folder string) (*rig, error) {
	d := &rig{filepath.Join(folder, "disk.img"), filepath.Join(folder, "disk")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(rigSize), f.Close(), os.MkdirAll(d.mount, 0o700)); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", d.image); err != nil {
		return nil, err
	}
	return d, d.attach()
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput() //nolint:noctx // short
	if err != nil {
		return fmt.Errorf("the troubles %q and %q need a disk of their own, which takes root, a loop device and mkfs.ext4; run as root, or choose others with --troubles: %s: %w: %s", power, diskFull, name, err, out)
	}
	return nil
}

func (d *rig) attach() error { return command("mount", "-o", "loop", d.image, d.mount) }

// detach waits for whoever was killed to be gone from it.
func (d *rig) detach() error {
	var err error
	for range 100 {
		if err = syscall.Unmount(d.mount, 0); err == nil || errors.Is(err, syscall.EINVAL) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("umount %s: %w", d.mount, err)
}

// cut cuts the power: what is in the page cache and was not synced is lost, and
// nothing can be written any more.
func (d *rig) cut() error {
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	how := noLogFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("the power of %s cannot be cut: %w", d.mount, errno)
	}
	return nil
}

// restore brings the power back. Nobody has files there any more.
func (d *rig) restore() error {
	if err := d.detach(); err != nil {
		return err
	}
	return d.attach()
}

// fill leaves no room, until the ballast is dropped.
func (d *rig) fill() (drop func() error, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.mount, &st); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(d.mount, "ballast"))
	if err != nil {
		return nil, err
	}
	drop = func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
	for size := int64(st.Bfree)*st.Bsize - rigLeft; size > rigLeft; size -= rigLeft {
		if err = syscall.Fallocate(int(f.Fd()), 0, 0, size); err == nil {
			return drop, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s cannot be filled: %w", d.mount, err), drop())
}

// close leaves the disk's file.
func (d *rig) close() error { return d.detach() }
