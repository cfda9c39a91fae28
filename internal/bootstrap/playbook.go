package bootstrap

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/tool"
)

// Play is one run of a playbook at a site.
type Play struct {
	Playbook  string         // its name, without the ending
	Variables map[string]any // they are passed in memory
	Secrets   map[string]any // variables too, which nothing that is shown may hold
	Limit     []string       // hosts; none means all
	Check     bool           // say what would change
}

// PlayError says where a playbook has failed.
type PlayError struct {
	Site, Playbook string
	Failures       []Failure
	Last           []string // what Ansible said last, when no task has failed
	Hint           string
}

func (e *PlayError) Error() string {
	if len(e.Failures) == 0 {
		text := fmt.Sprintf("%s: the playbook %s failed", e.Site, e.Playbook)
		if len(e.Last) > 0 {
			text += ":\n  " + strings.Join(e.Last, "\n  ")
		}
		return text
	}
	f := e.Failures[0]
	text := fmt.Sprintf("%s: %s: task %q failed: %s", e.Site, f.Host, f.Task, f.Message)
	if f.Unreachable {
		text = fmt.Sprintf("%s: %s was lost at task %q: %s", e.Site, f.Host, f.Task, f.Message)
	}
	var others []string
	for _, other := range e.Failures[1:] {
		if other.Host != f.Host {
			others = append(others, other.Host)
		}
	}
	if len(others) > 0 {
		text += fmt.Sprintf(" (on %s too)", strings.Join(others, ", "))
	}
	return text
}

// lastLines is how much of what Ansible says is kept for a failure without an event.
const lastLines = 12

// interruptGrace lets the modules that run on the hosts end.
const interruptGrace = 30 * time.Second

// Play runs a playbook at a site and shows its progress, per host. The error is a
// *PlayError when it has failed.
func (a *Ansible) Play(ctx context.Context, site *Site, p Play, view View) (*Outcome, error) {
	// As an inventory, because Ansible takes no file in memory as extra variables. Those of
	// a host win over those of group_vars, where the secrets stand encrypted.
	hosts := map[string]any{}
	for _, h := range site.Hosts {
		hosts[h.Name] = hostVariables(h, site, p)
	}
	variables, err := json.Marshal(map[string]any{"all": map[string]any{"hosts": hosts}})
	if err != nil {
		return nil, errors.New("writing the variables of the playbook: they are no JSON")
	}
	memory, err := tool.Memory("archipel-variables", variables)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	events, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for the events of Ansible: %w", err)
	}
	defer events.Close()
	outcome := &Outcome{Hosts: map[string]Counts{}, Changes: []Change{}, Failures: []Failure{}}
	mask := masker(p.Secrets)
	reader := newEventReader(site, outcome, mask, view)
	read := make(chan error, 1)
	go func() { read <- reader.read(events) }()

	args := append(a.inventories(site.Name), "-i", "/dev/fd/3", "playbooks/"+p.Playbook+".yml")
	if p.Check {
		args = append(args, "--check", "--diff")
	}
	if len(p.Limit) > 0 {
		args = append(args, "--limit", strings.Join(p.Limit, ","))
	}
	var last []string
	err = tool.Stream(ctx, tool.Command{
		Name: a.Playbook, Args: args, Dir: a.Dir, Env: append(a.environment(), "ARCHIPEL_EVENTS_FD=4"),
		Files: []*os.File{memory, writer}, DieWithParent: true, Grace: interruptGrace,
	}, &tail{keep: lastLines, lines: &last})
	writer.Close()
	// A program that Ansible left behind may hold the other end of the pipe.
	_ = events.SetReadDeadline(time.Now().Add(5 * time.Second))
	readErr := <-read
	if ctx.Err() != nil {
		return outcome, context.Cause(ctx)
	}
	if err == nil {
		return outcome, readErr
	}
	exit, ok := errors.AsType[*tool.ExitError](err)
	if !ok {
		return outcome, err
	}
	failed := &PlayError{Site: site.Name, Playbook: p.Playbook, Failures: outcome.Failures}
	if len(failed.Failures) == 0 {
		for _, line := range append(last, exit.Stderr...) {
			if line = oneLine(mask.Replace(line)); line != "" {
				failed.Last = append(failed.Last, line)
			}
		}
	}
	return outcome, failed
}

// The variables that only servers need, and only the first of them.
const (
	serverToken = "k3s_server_token" // and its _previous
	firstOnly   = "flux_bootstrap_"
	identities  = "sops_age_identities" // part of flux_bootstrap_secrets_b64
	linkKeys    = "wireguard_private_keys"
)

// hostVariables are the variables of a host: of the secrets only those that it needs.
func hostVariables(h Host, site *Site, p Play) map[string]any {
	vars := maps.Clone(p.Variables)
	if vars == nil {
		vars = map[string]any{}
	}
	maps.Copy(vars, p.Secrets)
	first := site.Servers()[0].Name == h.Name
	maps.DeleteFunc(vars, func(name string, _ any) bool {
		return name == identities || strings.HasPrefix(name, serverToken) && h.Role != fleet.RoleServer || strings.HasPrefix(name, firstOnly) && !first
	})
	if keys, ok := vars[linkKeys].(map[string]any); ok {
		own := map[string]any{}
		if key, ok := keys[h.Name]; ok {
			own[h.Name] = key
		}
		vars[linkKeys] = own
	}
	return vars
}

// newEventReader shows events: the task at the site's line, its role at the hosts'.
func newEventReader(site *Site, outcome *Outcome, mask *strings.Replacer, view View) *eventReader {
	hosts := map[string]bool{"localhost": true} // where what concerns no host runs
	for _, h := range site.Hosts {
		hosts[h.Name] = true
	}
	return &eventReader{
		hosts: hosts, outcome: outcome, mask: mask,
		task: func(task string) { view.Set(site.Name, task) },
		host: func(ev event) {
			switch {
			case ev.Host == "localhost":
			case ev.Event == "failed" || ev.Event == "unreachable":
				view.Fail(ev.Host, ev.Event+": "+ev.Task)
			case ev.Event == "retry":
				view.Set(ev.Host, fmt.Sprintf("%s: not yet, asked %s", ev.Task, times(ev.Attempt)))
			default:
				view.Set(ev.Host, cmp.Or(ev.Role, ev.Task))
			}
		},
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// masker hides the texts in secret variables wherever they turn up.
func masker(variables map[string]any) *strings.Replacer {
	const shortest = 12 // what is shorter is a name, or stands in too many places
	var pairs []string
	var add func(value any)
	add = func(value any) {
		switch v := value.(type) {
		case string:
			for line := range strings.Lines(v) {
				if line = strings.TrimSpace(line); len(line) >= shortest {
					pairs = append(pairs, line, "*****")
				}
			}
		case map[string]any:
			for _, element := range v {
				add(element)
			}
		case []any:
			for _, element := range v {
				add(element)
			}
		}
	}
	add(variables)
	return strings.NewReplacer(pairs...)
}

// tail keeps the last lines of what is written to it.
type tail struct {
	keep  int
	lines *[]string
	part  strings.Builder
}

func (t *tail) Write(data []byte) (int, error) {
	const longest = 4 << 10
	for _, b := range data {
		if b != '\n' {
			if t.part.Len() < longest {
				t.part.WriteByte(b)
			}
			continue
		}
		*t.lines = append(*t.lines, t.part.String())
		if len(*t.lines) > t.keep {
			*t.lines = (*t.lines)[1:]
		}
		t.part.Reset()
	}
	return len(data), nil
}
