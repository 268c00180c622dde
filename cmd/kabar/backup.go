package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kabar-io/kabar/internal/backup"
	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/store"
)

type backupCmd struct {
	config.Access `embed:""`
	To            string `arg:"" name:"file" help:"The file to write, - for standard output. It holds secrets: keep it like a password."`
	Force         bool   `help:"Replace the file if it is there."`
}

// Run makes a backup, and says what is in it.
func (c *backupCmd) Run(ctx context.Context, out io.Writer) error {
	if c.To == "-" {
		if f, ok := out.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				return errors.New("a backup is not to be read on a terminal: name a file, or send it on with |")
			}
		}
		_, err := backup.WriteTo(ctx, c.Data, out, os.TempDir(), version)
		return err
	}
	if _, err := os.Lstat(c.To); err == nil && !c.Force {
		return fmt.Errorf("%s is there already: choose another name, or replace it with --force", c.To)
	}
	m, err := backup.Write(ctx, c.Data, c.To, version)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s holds %d messages and %d files of %s, as of row %d of epoch %s. It holds the server's keys: keep it where only you can read it.\n",
		c.To, m.Rows, len(m.Files), c.Data, m.Head, m.Epoch)
	return err
}

// plain is why a file could not be opened, without the call that failed.
func plain(err error) error {
	if at := (*os.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

type restoreCmd struct {
	config.Access `embed:""`
	From          string `arg:"" name:"file" help:"The backup, - for standard input."`
}

// Run restores a backup into an empty folder, and says what is new.
func (c *restoreCmd) Run(ctx context.Context, out io.Writer) error {
	in := io.Reader(os.Stdin)
	if c.From != "-" {
		f, err := os.Open(c.From)
		if err != nil {
			return fmt.Errorf("the backup %s cannot be read: %w", c.From, plain(err))
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	m, epoch, err := backup.Restore(ctx, in, c.Data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `%s is as it was at %s: %d messages, up to row %d.
Its log has the new epoch %s instead of %s: whoever comes back with a position of before is told so (410, epoch), and begins in the present. Positions that the server keeps, of devices, consumers and webhooks, are those of then, and go on from there.
What was changed since then is undone, which goes for logins, passwords and tokens that were taken back, too: take them back again.
Next: kabar serve --data %s
`, c.Data, m.Made.Format("2006-01-02 15:04:05 UTC"), m.Rows, m.Head, epoch, m.Epoch, c.Data)
	return err
}

type dataCmd struct {
	Check dataCheckCmd `cmd:"" help:"Read everything in the data folder, and say what is damaged. A server may be running."`
}

type dataCheckCmd struct {
	config.Access `embed:""`
}

// Run says OK, or what is damaged.
func (c *dataCheckCmd) Run(ctx context.Context, out io.Writer) error {
	facts, faults, err := store.Check(ctx, c.Data)
	if err != nil {
		return err
	}
	if len(faults) == 0 {
		_, err := fmt.Fprintf(out, "OK: %d messages, up to row %d of epoch %s\n", facts.Rows, facts.Head, facts.Epoch)
		return err
	}
	for _, f := range faults {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	return fmt.Errorf("the database in %s is damaged. Stop the server, move the folder away, and put the last backup in its place with kabar restore", c.Data)
}
