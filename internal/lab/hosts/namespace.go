package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"archipel/internal/tool"
)

// holder is the name of the process that holds the namespaces. No site has an
// underscore in its name.
const holder = "_namespace"

// HostProcess is the name of the process that a host is.
func HostProcess(site, host string) string { return site + "/" + host }

// Namespace is the lab's network and its view of the machine's folders. It lasts
// as long as a process in it.
type Namespace struct {
	pid     int
	dir     string // podman's settings and containers
	unified bool   // the machine's control groups
}

// Hold returns the namespaces of a group of daemons, whose process holds them. It
// starts one where there is none: what a lost one has left behind must have ended
// before. dir is for podman.
func Hold(ctx context.Context, group, dir string) (*Namespace, error) {
	if n, err := Held(group, dir); err != nil || n != nil {
		return n, err
	}
	n := &Namespace{dir: dir}
	var err error
	if n.unified, err = unified(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the lab's folders: %w", err)
	}
	for name, text := range map[string]string{
		n.storageConfig():    storageConfig(dir),
		n.containersConfig(): containersConfig(tool.Marks(group, "_podman")),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing podman's settings: %w", err)
		}
	}
	unshare, err := tool.Find("unshare")
	if err != nil {
		return nil, err
	}
	p, err := tool.Start(tool.Daemon{
		Group: group, Name: holder, Path: unshare,
		Args: []string{"--mount", "--net", "--propagation=private", "--", "sleep", "infinity"},
		Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Log: filepath.Join(dir, holder+".log"),
	})
	if err != nil {
		return nil, err
	}
	n.pid = p.PID
	// unshare becomes sleep once it has left the machine's namespaces.
	for {
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)); err == nil && strings.TrimSpace(string(command)) == "sleep" {
			break
		}
		if !p.Alive() {
			return nil, fmt.Errorf("making the lab's namespaces: %s", strings.Join(tool.Tail(filepath.Join(dir, holder+".log"), 3), "; "))
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := n.script(ctx, setUp(n.unified)); err != nil {
		return nil, fmt.Errorf("making the lab's network: %w", err)
	}
	return n, nil
}

// Held returns the namespaces of a group when a process holds them and they are
// complete; nil when not.
func Held(group, dir string) (*Namespace, error) {
	running, err := tool.Running(group)
	if err != nil {
		return nil, err
	}
	for _, p := range running {
		if p.Name != holder {
			continue
		}
		n := &Namespace{pid: p.PID, dir: dir}
		if n.unified, err = unified(); err != nil {
			return nil, err
		}
		if _, err := os.Stat(n.path(own + "/ready")); err == nil {
			return n, nil
		}
	}
	return nil, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (n *Namespace) storageConfig() string    { return filepath.Join(n.dir, "storage.conf") }
func (n *Namespace) containersConfig() string { return filepath.Join(n.dir, "containers.conf") }

// path is where this process sees a file of the namespaces.
func (n *Namespace) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", n.pid, name) }

// NetworkFile stands for the lab's network.
func (n *Namespace) NetworkFile() string { return fmt.Sprintf("/proc/%d/ns/net", n.pid) }

// Enter is the command that moves into the namespaces and becomes another one.
func (n *Namespace) Enter(command ...string) []string {
	return append([]string{"nsenter", "--target=" + strconv.Itoa(n.pid), "--mount", "--net", "--"}, command...)
}

func (n *Namespace) run(ctx context.Context, in string, command ...string) ([]byte, error) {
	args := n.Enter(command...)
	return tool.Run(ctx, tool.Command{
		Name: args[0], Args: args[1:], In: strings.NewReader(in), Dir: "/",
		// podman reads the settings of whose environment this is otherwise.
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + n.dir,
			"CONTAINERS_CONF=" + n.containersConfig(), "CONTAINERS_STORAGE_CONF=" + n.storageConfig(),
		},
	})
}

func (n *Namespace) script(ctx context.Context, text string) error {
	_, err := n.run(ctx, text, "sh", "-eu")
	return err
}

// Listens says whether something in the lab's network listens on a TCP port. A
// server of any address is in the table of IPv6.
func (n *Namespace) Listens(port int) (bool, error) {
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", n.pid, table))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return false, fmt.Errorf("looking at the lab's network: %w", err)
		}
		if listens(string(text), port) {
			return true, nil
		}
	}
	return false, nil
}

// listens reads a table of /proc/net, in which state 0A is LISTEN.
func listens(table string, port int) bool {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 3 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == "0A" {
			return true
		}
	}
	return false
}

// changed says whether something was made differently before, or not at all.
func (n *Namespace) changed(mark, content string) (there, changed bool) {
	data, err := os.ReadFile(n.path(own + "/" + mark))
	return err == nil, string(data) != digest(content)
}

func (n *Namespace) remember(mark, content string) error {
	if err := os.WriteFile(n.path(own+"/"+mark), []byte(digest(content)), 0o600); err != nil {
		return fmt.Errorf("remembering what the lab's network is: %w", err)
	}
	return nil
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// Connect makes the switch of a site and its way to the others, unless it is there.
func (n *Namespace) Connect(ctx context.Context, s Site) error {
	script, mark := s.connect(), "sites/"+s.Name
	there, changed := n.changed(mark, script)
	switch {
	case !changed:
		return nil
	case there:
		return fmt.Errorf("the network of %s is not what the inventory says any more; archipel lab down, then up, makes it anew", s.Name)
	}
	if err := n.script(ctx, script); err != nil {
		return fmt.Errorf("making the network of %s: %w", s.Name, err)
	}
	return n.remember(mark, script)
}

// Start makes a host run. One that runs is left alone, unless it was made from
// something else; one that has stopped goes on with its disk.
func (n *Namespace) Start(ctx context.Context, s Site, h Host, c Container) error {
	var err error
	if c.Limits, err = machineLimits(); err != nil {
		return err
	}
	running, err := hostProcesses(c.Group, s.Name, h.Name)
	if err != nil {
		return err
	}
	network, command, mark := s.connectHost(h), c.run(h), "hosts/"+h.Name
	wanted := network + strings.Join(command, "\n")
	containers, err := n.containers(ctx)
	if err != nil {
		return err
	}
	known, changed := n.changed(mark, wanted)
	same := slices.Contains(containers, h.Name) && (!known || !changed) // !known: of an earlier namespace
	if same && known && len(running) > 0 {
		return nil
	}
	if err := tool.Stop(running, 0); err != nil {
		return err
	}
	if err := n.script(ctx, network); err != nil {
		return fmt.Errorf("making the network of %s: %w", h.Name, err)
	}
	if same {
		command = []string{"podman", "start", h.Name}
	} else if slices.Contains(containers, h.Name) {
		if _, err := n.run(ctx, "", "podman", "rm", "--force", "--time=0", h.Name); err != nil {
			return fmt.Errorf("removing the former %s: %w", h.Name, err)
		}
	}
	if _, err := n.run(ctx, "", command...); err != nil {
		return fmt.Errorf("starting %s: %w", h.Name, err)
	}
	return n.remember(mark, wanted)
}

// Unplug takes a host off the network until it is started again: its network would
// go on to answer for it.
func (n *Namespace) Unplug(ctx context.Context, h Host) error {
	if _, err := n.run(ctx, "", "ip", "link", "set", h.link(), "down"); err != nil {
		return fmt.Errorf("taking %s off the network: %w", h.Name, err)
	}
	return nil
}

// containers are the names of those that podman knows, running or not.
func (n *Namespace) containers(ctx context.Context) ([]string, error) {
	out, err := n.run(ctx, "", "podman", "ps", "--all", "--format=json")
	if err != nil {
		return nil, fmt.Errorf("listing the hosts: %w", err)
	}
	var all []struct{ Names []string }
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("listing the hosts: %w", err)
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Names...)
	}
	return names, nil
}

// Remove deletes a host with its disk.
func (n *Namespace) Remove(ctx context.Context, host string) error {
	_, err := n.run(ctx, "", "podman", "rm", "--force", "--ignore", "--time=0", host)
	return err
}

func hostProcesses(group, site, host string) ([]tool.Process, error) {
	running, err := tool.Running(group)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(running, func(p tool.Process) bool { return p.Name != HostProcess(site, host) }), nil
}

// Apply makes the router do what is wrong between sites, and nothing else.
func (n *Namespace) Apply(ctx context.Context, sites []Site, faults []Fault) error {
	_, err := n.run(ctx, rules(sites, faults), "nsenter", "--net=/run/netns/"+router, "nft", "-f", "-")
	if err != nil {
		return fmt.Errorf("changing the router between the sites: %w", err)
	}
	return nil
}

// RemoveCgroups deletes the folders of control groups that hosts had, which have
// ended. The kernel takes its time to let go of them.
func RemoveCgroups(cgroups string) error {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		for began := time.Now(); ; time.Sleep(pause) {
			left := removeEmpty(root + cgroups)
			if left == 0 {
				break
			}
			if time.Since(began) > patience {
				return fmt.Errorf("removing the control groups of the hosts: %d in %s are in use", left, root+cgroups)
			}
		}
	}
	return nil
}

// removeEmpty deletes a folder and those below it, and returns how many stay.
func removeEmpty(root string) int {
	var folders []string
	_ = filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, name)
		}
		return nil // it may be gone already
	})
	left := 0
	for _, folder := range slices.Backward(folders) {
		if err := os.Remove(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
			left++
		}
	}
	return left
}
