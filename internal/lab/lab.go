// Package lab runs the sites of a fleet on this machine: real control planes,
// simulated nodes and real Flux, on loopback addresses.
package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/lab/hosts"
	"archipel/internal/tool"

	"golang.org/x/sys/unix"
)

// Config says whose lab it is and where it may write.
type Config struct {
	Repository string // absolute root of the checkout whose sites run
	StateHome  string // $XDG_STATE_HOME: everything a lab has but its programs
	CacheHome  string // $XDG_CACHE_HOME: the programs, shared by all labs of a user
	Name       string // empty: one lab per checkout
	Now        func() time.Time
	// Environment is what the compiler and git get; the lab's own programs get nothing of it.
	Environment []string
}

// Lab is the lab of one checkout. Its processes outlive this one.
type Lab struct {
	config Config
	name   string
	dir    string
}

// Report tells what is being done or waited for at a site, or in the lab as a
// whole when site is empty. It is called from several goroutines.
type Report func(site, doing string)

// New returns the lab of a checkout, whether it runs or not.
func New(config Config) *Lab {
	name := config.Name
	if name == "" {
		sum := sha256.Sum256([]byte(config.Repository))
		name = filepath.Base(config.Repository) + "-" + hex.EncodeToString(sum[:4])
	}
	return &Lab{config: config, name: name, dir: filepath.Join(config.StateHome, "archipel", "lab", name)}
}

// Name is unique among the labs of a user.
func (l *Lab) Name() string { return l.name }

// Dir is the folder that holds the lab's state; only its owner may read it.
func (l *Lab) Dir() string { return l.dir }

// Kubeconfig is a file with one context per site, named like the site.
func (l *Lab) Kubeconfig() string { return filepath.Join(l.dir, "kubeconfig") }

// Exists says whether the lab has any state, running or kept.
func (l *Lab) Exists() bool {
	_, err := os.Stat(l.recordFile())
	return err == nil
}

// Processes lists what runs of the lab.
func (l *Lab) Processes() ([]tool.Process, error) { return tool.Running(l.dir) }

// record is what a lab must remember between two commands.
type record struct {
	Repository string   `json:"repository"`
	Slot       int      `json:"slot"`
	Sites      []string `json:"sites"` // sites that were raised and not taken down
	// RepositorySecrets says that the sites run with the repository's secrets, not with the lab's own.
	RepositorySecrets bool `json:"repositorySecrets,omitempty"`
	// Hosts says that the nodes of all sites are hosts, not simulated.
	Hosts bool `json:"hosts,omitempty"`
	// Nodes are the hosts of each site that were raised, Image and Programs the folders
	// that they run from.
	Nodes    map[string][]string `json:"nodes,omitempty"`
	Image    string              `json:"image,omitempty"`
	Programs string              `json:"programs,omitempty"`
}

func (l *Lab) recordFile() string { return filepath.Join(l.dir, "lab.json") }

func (l *Lab) readRecord() (record, error) {
	var r record
	data, err := os.ReadFile(l.recordFile())
	if err != nil {
		return r, fmt.Errorf("reading the lab's record: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("reading the lab's record %s: %w", l.recordFile(), err)
	}
	return r, nil
}

func (l *Lab) writeRecord(r record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the lab's record: %w", err)
	}
	return writeFile(l.recordFile(), append(data, '\n'))
}

// Sites are the names of the sites that were raised and not taken down.
func (l *Lab) Sites() ([]string, error) {
	r, err := l.readRecord()
	return r.Sites, err
}

// BusyError says that another archipel is changing the lab.
type BusyError struct{ Dir string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another archipel command is working on the lab in %s; wait for it, or stop it with Ctrl-C", e.Dir)
}

// lock makes this process the only one that changes the lab. The lock ends with
// the process, however that ends, and leaves no file.
func (l *Lab) lock() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the lab's folder: %w", err)
	}
	dir, err := os.Open(l.dir)
	if err != nil {
		return nil, fmt.Errorf("locking the lab: %w", err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &BusyError{Dir: l.dir}
		}
		return nil, fmt.Errorf("locking the lab: %w", err)
	}
	// A lab that was taken down in between leaves us with the lock of a folder that is gone.
	locked, err := dir.Stat()
	if err == nil {
		var current os.FileInfo
		if current, err = os.Stat(l.dir); err == nil && !os.SameFile(locked, current) {
			err = os.ErrNotExist
		}
	}
	if err != nil {
		dir.Close()
		return nil, &BusyError{Dir: l.dir}
	}
	return func() { dir.Close() }, nil
}

// Down stops sites and removes their state; with keep, the state stays and the
// next Up resumes from it. No sites means the whole lab. A lab that does not
// exist is down already.
func (l *Lab) Down(sites []string, keep bool) error {
	if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return l.down(sites, keep)
}

func (l *Lab) down(sites []string, keep bool) error {
	r, err := l.readRecord()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	left := without(r.Sites, sites)
	if len(sites) == 0 {
		left = nil
	}
	stopped := sites
	if len(left) == 0 {
		stopped = nil // with the last site goes what serves all
	}
	if err := l.stopSites(stopped...); err != nil {
		return err
	}
	if keep {
		return nil
	}
	if len(left) == 0 {
		return l.remove()
	}
	if r.Hosts {
		if err := l.removeHosts(sites); err != nil {
			return err
		}
	}
	for _, site := range sites {
		if err := os.RemoveAll(l.siteDir(site)); err != nil {
			return fmt.Errorf("removing the state of %s: %w", site, err)
		}
	}
	r.Sites = left
	return l.writeRecord(r)
}

// stopSites ends the programs of sites; of the whole lab when none is named, and
// with "" what serves all.
func (l *Lab) stopSites(sites ...string) error {
	processes, err := l.Processes()
	if err != nil {
		return err
	}
	var stop []tool.Process
	for _, p := range processes {
		site, _, _ := strings.Cut(p.Name, "/")
		if len(sites) == 0 || contains(sites, site) {
			stop = append(stop, p)
		}
	}
	// kube-apiserver holds on to its port for long after a polite request, and
	// nothing here needs one: etcd survives being killed.
	return tool.Stop(stop, 0)
}

// remove deletes the lab's folder, and the folders above it when they are empty.
func (l *Lab) remove() error {
	if err := hosts.RemoveCgroups(l.cgroups()); err != nil {
		return err
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("removing the lab's state: %w", err)
	}
	dir := filepath.Dir(l.dir)
	for dir != l.config.StateHome && os.Remove(dir) == nil { // until one holds another lab
		dir = filepath.Dir(dir)
	}
	return nil
}

func (l *Lab) siteDir(site string) string { return filepath.Join(l.dir, "sites", site) }

// LogFile is where a program writes; component is as in Components.
func (l *Lab) LogFile(site, component string) string {
	if site == "" {
		return filepath.Join(l.dir, component+".log")
	}
	return filepath.Join(l.siteDir(site), "log", component+".log")
}

// Dead lists the programs of a site that should run and do not.
func (l *Lab) Dead(site string) ([]Death, error) {
	processes, err := l.Processes()
	if err != nil {
		return nil, err
	}
	running := map[string]bool{}
	for _, p := range processes {
		running[p.Name] = true
	}
	r, err := l.readRecord()
	if err != nil {
		return nil, err
	}
	components := Components()
	if r.Hosts {
		components = r.Nodes[site]
	}
	var dead []Death
	for _, component := range components {
		if running[processName(site, component)] {
			continue
		}
		death := Death{Component: component, Log: l.LogFile(site, component), Host: r.Hosts}
		if info, err := os.Stat(death.Log); err == nil {
			death.Since = info.ModTime()
			if last := lastWords(death.Log, 1); len(last) > 0 {
				death.Last = last[0]
			}
		}
		dead = append(dead, death)
	}
	return dead, nil
}

// Death is a program that should run and does not.
type Death struct {
	Component string
	Host      bool      // it is a node, of a lab with hosts
	Since     time.Time // of its last sign of life; zero when it never ran
	Log       string
	Last      string // what its log says last
}

// lastWords are the last lines of a log, at most n, in the words of a person:
// Flux's controllers, etcd and the upstreams log JSON.
func lastWords(log string, n int) []string {
	lines := tool.Tail(log, n)
	for i, line := range lines {
		var entry struct {
			Message string `json:"msg"`
			Error   string `json:"error"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Message == "" {
			continue
		}
		lines[i] = entry.Message
		if entry.Error != "" {
			lines[i] += ": " + entry.Error
		}
	}
	return lines
}

// Sync serves the working tree as it is now and returns the revision that each
// site will pull, in the form in which Flux reports it.
func (l *Lab) Sync(ctx context.Context, f *fleet.Fleet) (revisions map[string]string, err error) {
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return l.snapshot(ctx, f)
}

func without(names, drop []string) []string {
	var left []string
	for _, name := range names {
		if !contains(drop, name) {
			left = append(left, name)
		}
	}
	return left
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// writeFile replaces a file in one step; only its owner may read it.
func writeFile(name string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(temporary.Name(), name); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// Tail returns the last lines of a log.
func Tail(log string, lines int) []string { return tool.Tail(log, lines) }
