package server

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"archipel/lab/internal/k3s/datastore"
	"archipel/lab/internal/k3s/node"
	"archipel/lab/internal/k3s/option"
)

// snapshots are the snapshots of etcd on this host.
type snapshots struct {
	layout   layout
	dir      string
	node     string
	compress bool
}

func newSnapshots(v option.Values) (snapshots, error) {
	name, err := node.Hostname(v.Text("node-name"))
	s := snapshots{
		layout: layout{data: v.Text("data-dir")}, dir: v.Text("etcd-snapshot-dir"), node: name, compress: v.Switch("etcd-snapshot-compress"),
	}
	if s.dir == "" {
		s.dir = s.layout.file("db", "snapshots")
	}
	return s, err
}

// Snapshots is `k3s etcd-snapshot`.
func Snapshots(ctx context.Context, v option.Values, stdout, stderr io.Writer) error {
	s, err := newSnapshots(v)
	if err != nil {
		return err
	}
	if len(v.Rest) == 0 {
		return fmt.Errorf("%w: k3s etcd-snapshot save|ls|delete|prune", option.ErrUsage)
	}
	verb, names := v.Rest[0], v.Rest[1:]
	if len(names) > 0 && verb != "delete" {
		return fmt.Errorf("%w: unexpected %q", option.ErrUsage, names[0])
	}
	switch verb {
	case "save":
		name, err := s.save(ctx, v.Text("name"), time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "Snapshot %s saved.\n", name)
		return nil
	case "ls", "list", "l":
		return s.list(stdout, v.Text("output"))
	case "delete":
		if len(names) == 0 {
			return fmt.Errorf("%w: no snapshots given for removal", option.ErrUsage)
		}
		for _, name := range names {
			if err := s.remove(name); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "Snapshot %s deleted.\n", name)
		}
		return nil
	case "prune":
		removed, err := s.prune(v.Text("name"), v.Number("etcd-snapshot-retention"))
		for _, name := range removed {
			fmt.Fprintf(stderr, "Snapshot %s deleted.\n", name)
		}
		return err
	}
	return fmt.Errorf("%w: k3s etcd-snapshot has no %q in the lab", option.ErrUsage, verb)
}

// save takes a snapshot of the etcd of this host and returns its name.
func (s snapshots) save(ctx context.Context, base string, now time.Time) (string, error) {
	if base == "" || strings.ContainsAny(base, "/ ") {
		return "", fmt.Errorf("%w: %q is no name of a snapshot", option.ErrUsage, base)
	}
	store, err := datastore.Open("https://127.0.0.1:2379", s.layout.etcdIdentity())
	if err != nil {
		return "", fmt.Errorf("taking a snapshot: is k3s running on this server? %w", err)
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-%s-%d", base, s.node, now.Unix())
	file := filepath.Join(s.dir, name)
	if err := store.Snapshot(ctx, file); err != nil {
		return "", fmt.Errorf("taking a snapshot: is k3s running on this server? %w", err)
	}
	if !s.compress {
		return name, nil
	}
	err = compress(file, name)
	if removed := os.Remove(file); err == nil {
		err = removed
	}
	return name + ".zip", err
}

func compress(file, name string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(file+".zip", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := zip.NewWriter(out)
	entry, err := archive.Create(name)
	if err == nil {
		_, err = io.Copy(entry, in)
	}
	return errors.Join(err, archive.Close())
}

// decompress returns the snapshot in an archive as a file in dir.
func decompress(file, dir string) (string, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return "", fmt.Errorf("reading the snapshot %s: %w", file, err)
	}
	defer archive.Close()
	if len(archive.File) != 1 {
		return "", fmt.Errorf("reading the snapshot %s: it holds %d files, not one", file, len(archive.File))
	}
	in, err := archive.File[0].Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, "snapshot"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return out.Name(), errors.Join(err, out.Close())
}

// snapshotFile is one snapshot.
type snapshotFile struct {
	name, path string
	size       int64
	created    time.Time
}

// files returns the snapshots, the oldest first.
func (s snapshots) files() ([]snapshotFile, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []snapshotFile
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(entry.Name(), ".part") {
			continue
		}
		file := snapshotFile{entry.Name(), filepath.Join(s.dir, entry.Name()), info.Size(), info.ModTime()}
		stem := strings.TrimSuffix(file.name, ".zip")
		if seconds, err := strconv.ParseInt(stem[strings.LastIndex(stem, "-")+1:], 10, 64); err == nil {
			file.created = time.Unix(seconds, 0)
		}
		files = append(files, file)
	}
	slices.SortStableFunc(files, func(a, b snapshotFile) int { return a.created.Compare(b.created) })
	return files, nil
}

func (s snapshots) list(w io.Writer, format string) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	switch format {
	case "standard", "":
		table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
		fmt.Fprintln(table, "Name\tLocation\tSize\tCreated")
		for _, f := range files {
			fmt.Fprintf(table, "%s\tfile://%s\t%d\t%s\n", f.name, f.path, f.size, f.created.UTC().Format(time.RFC3339))
		}
		return table.Flush()
	case "json":
		items := []any{}
		for _, f := range files {
			items = append(items, map[string]any{
				"metadata": map[string]any{"name": f.name},
				"spec":     map[string]any{"snapshotName": f.name, "nodeName": s.node, "location": "file://" + f.path},
				"status":   map[string]any{"size": strconv.FormatInt(f.size, 10), "creationTime": f.created.UTC().Format(time.RFC3339), "readyToUse": true},
			})
		}
		return json.NewEncoder(w).Encode(map[string]any{"kind": "ETCDSnapshotFileList", "apiVersion": "k3s.cattle.io/v1", "items": items})
	}
	return fmt.Errorf("%w: output %q is neither standard nor json", option.ErrUsage, format)
}

func (s snapshots) remove(name string) error {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return fmt.Errorf("%w: %q is no name of a snapshot", option.ErrUsage, name)
	}
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		return fmt.Errorf("deleting a snapshot: %w", err)
	}
	return nil
}

// prune keeps the newest snapshots whose names begin with base.
func (s snapshots) prune(base string, keep int) ([]string, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f snapshotFile) bool { return !strings.HasPrefix(f.name, base+"-"+s.node+"-") })
	var removed []string
	for _, f := range files[:max(0, len(files)-max(keep, 0))] {
		if err := s.remove(f.name); err != nil {
			return removed, err
		}
		removed = append(removed, f.name)
	}
	return removed, nil
}

// takeSnapshots takes snapshots when they are due, and removes old ones.
func (s *server) takeSnapshots(ctx context.Context) {
	if s.values.Switch("etcd-disable-snapshots") {
		return
	}
	all, err := newSnapshots(s.values)
	if err != nil {
		s.say("%v", err)
		return
	}
	base, keep := s.values.Text("etcd-snapshot-name"), s.values.Number("etcd-snapshot-retention")
	for {
		now := time.Now()
		if err := node.Sleep(ctx, now.Truncate(time.Minute).Add(time.Minute).Sub(now)); err != nil {
			return
		}
		if now = time.Now(); !s.snapshots.Due(now) {
			continue
		}
		name, err := all.save(ctx, base, now)
		if err == nil {
			s.say("snapshot %s saved", name)
			_, err = all.prune(base, keep)
		}
		if err != nil {
			s.say("%v", err)
		}
	}
}
