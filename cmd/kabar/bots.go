package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/kabar-io/kabar/internal/config"
	"github.com/kabar-io/kabar/internal/process"
)

// processFile is a process that stands in a file of the folder.
type processFile struct {
	path   string
	source []byte
	def    *process.Definition
}

// checkFiles says what is wrong in the files that a configuration names.
func checkFiles(c *config.Config) error {
	_, err := tlsConfig(c.TLS, slog.New(slog.DiscardHandler))
	_, wrong := readProcesses(c)
	return errors.Join(err, wrong)
}

// readProcesses reads and checks the processes of the folder: what is wrong with
// one is said before anything starts. There need not be such a folder. One that
// is not absolute is seen from the configuration's file.
func readProcesses(c *config.Config) ([]processFile, error) {
	folder := c.Bot.Folder
	if !filepath.IsAbs(folder) && c.File != "" {
		folder = filepath.Join(filepath.Dir(c.File), folder)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	files := make([]processFile, 0, len(paths))
	names := map[string]string{}
	var wrong []error
	for _, path := range paths {
		source, err := os.ReadFile(path) //nolint:gosec // in the operator's own folder
		if err != nil {
			return nil, err
		}
		def, faults := process.Check(source)
		for _, f := range faults {
			wrong = append(wrong, fmt.Errorf("%s:%d:%d: %s", path, f.Line, f.Column, f.Message))
		}
		if len(faults) > 0 {
			continue
		}
		if other, twice := names[def.Name]; twice {
			wrong = append(wrong, fmt.Errorf("%s: the process %q stands in %s already", path, def.Name, other))
		}
		names[def.Name] = path
		files = append(files, processFile{path, source, def})
	}
	return files, errors.Join(wrong...)
}

// publishProcesses saves and publishes what the folder holds. What is the same
// as the newest version makes no new one.
func (s *server) publishProcesses(ctx context.Context) error {
	files, err := readProcesses(s.c)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.publishProcess(ctx, f.def, f.source); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

func (s *server) publishProcess(ctx context.Context, def *process.Definition, source []byte) error {
	was, err := s.processes.Get(ctx, def.Name, 0)
	if err != nil && !errors.Is(err, process.ErrNoProcess) {
		return err
	}
	version, err := s.processes.Save(ctx, def.Name, source)
	if err != nil {
		return err
	}
	if was.Published != 0 && was.Published != version {
		s.log.Warn("the file takes the place of another version", "process", def.Name, "version", version, "instead of", was.Published)
	}
	if _, err := s.processes.Publish(ctx, def.Name, version); err != nil {
		return err
	}
	if def.Endpoint == nil {
		s.log.Info("a process is published", "process", def.Name, "version", version)
		return nil
	}
	s.log.Info("a process is published", "process", def.Name, "version", version, "endpoint", strings.TrimSpace(def.Endpoint.URL))
	return nil
}
