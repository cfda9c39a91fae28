// Package bootstrap is the visible list of steps from reachable hosts to Ready.
package bootstrap

import (
	"archipel/internal/fleet"
)

// View shows how far each step, site and host is. *term.Progress is one.
type View interface {
	Set(name, text string)
	Done(name, text string)
	Fail(name, text string)
	Print(text string)
}

// Step shows a step of a name while it runs, and what came of it.
func Step(view View, name, doing string, run func() (string, error)) error {
	view.Set(name, doing)
	text, err := run()
	if err != nil {
		view.Fail(name, "failed")
		return err
	}
	view.Done(name, text)
	return nil
}

// Site is a site of the fleet with its hosts as Ansible reaches them.
type Site struct {
	*fleet.Site
	Hosts []Host // as Site.Nodes
}

// Servers returns the hosts of the site's servers, in inventory order.
func (s *Site) Servers() []Host { return s.Hosts[:len(s.Site.Servers())] }

// Host returns the host of a node.
func (s *Site) Host(name string) (Host, bool) {
	for _, h := range s.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// Problem is what stands in the way of one or more hosts.
type Problem struct {
	Hosts   []string `json:"hosts"`
	Warning bool     `json:"warning"` // the run may go on
	Message string   `json:"message"`
	Fix     string   `json:"fix"`
}
