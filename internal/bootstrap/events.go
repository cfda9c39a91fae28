package bootstrap

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Counts are what became of a host's tasks.
type Counts struct {
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Failed      int `json:"failures"`
	Unreachable int `json:"unreachable"`
	Skipped     int `json:"skipped"`
}

// Change is a task that changed a host, or would.
type Change struct {
	Host string `json:"host"`
	Task string `json:"task"`
}

// Failure is a task that failed on a host, or a host that was lost on the way.
type Failure struct {
	Host        string `json:"host"`
	Task        string `json:"task"`
	Message     string `json:"message"` // one line
	Unreachable bool   `json:"unreachable"`
}

// Outcome is what a playbook did.
type Outcome struct {
	Hosts    map[string]Counts `json:"hosts"`
	Changes  []Change          `json:"changes"`
	Failures []Failure         `json:"failures"`
}

// maxEvent bounds one event in bytes, and maxChanges how many changes are kept.
const maxEvent, maxChanges = 64 << 10, 100_000

// event is a line of the callback plugin archipel of kubernetes/ansible. It may say
// more than this.
type event struct {
	Event   string          `json:"event"`
	Play    string          `json:"play"`
	Task    string          `json:"task"`
	Role    string          `json:"role"`
	Host    string          `json:"host"`
	Msg     string          `json:"msg"`
	Attempt int             `json:"attempt"`
	Hosts   json.RawMessage `json:"hosts"` // of stats by name, of a play a list
}

// eventReader turns events into an outcome.
type eventReader struct {
	hosts   map[string]bool // that may be named
	outcome *Outcome
	mask    *strings.Replacer // hides what is secret
	task    func(task string)
	host    func(ev event)
}

// read reads events to the end. It goes on after one that it does not understand,
// because Ansible waits while nobody reads, and then returns an error.
func (e *eventReader) read(r io.Reader) error {
	reader := bufio.NewReaderSize(r, maxEvent)
	var wrong error
	for {
		line, long, err := reader.ReadLine()
		if errors.Is(err, io.EOF) {
			return wrong
		}
		if err != nil {
			return fmt.Errorf("reading the events of Ansible: %w", err)
		}
		if long {
			wrong = errors.New("reading the events of Ansible: a line is too long")
			for long && err == nil {
				_, long, err = reader.ReadLine()
			}
			continue
		}
		var ev event
		if err := json.Unmarshal(line, &ev); err != nil || ev.Event == "" {
			wrong = errors.New("reading the events of Ansible: a line is no event")
			continue
		}
		if err := e.take(ev); err != nil {
			wrong = err
		}
	}
}

func (e *eventReader) take(ev event) error {
	ev.Role = oneLine(ev.Role)
	ev.Task = oneLine(e.mask.Replace(ev.Task))
	if ev.Role != "" {
		ev.Task = ev.Role + ": " + ev.Task
	}
	switch ev.Event {
	case "task":
		e.task(ev.Task)
		return nil
	case "stats":
		var hosts map[string]Counts
		if err := json.Unmarshal(ev.Hosts, &hosts); err != nil {
			return errors.New("reading the events of Ansible: the counts are malformed")
		}
		for host, counts := range hosts {
			if e.hosts[host] {
				e.outcome.Hosts[host] = counts
			}
		}
		return nil
	case "ok", "changed", "skipped", "failed", "unreachable", "retry":
	default:
		return nil
	}
	if !e.hosts[ev.Host] {
		return fmt.Errorf("reading the events of Ansible: the host %q is unknown", oneLine(ev.Host))
	}
	switch {
	case ev.Event == "changed" && len(e.outcome.Changes) < maxChanges:
		e.outcome.Changes = append(e.outcome.Changes, Change{ev.Host, ev.Task})
	case ev.Event == "failed", ev.Event == "unreachable":
		e.outcome.Failures = append(e.outcome.Failures, Failure{ev.Host, ev.Task, oneLine(e.mask.Replace(ev.Msg)), ev.Event == "unreachable"})
	}
	e.host(ev)
	return nil
}
