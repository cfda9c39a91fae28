package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/tool"
)

// Host is a node as Ansible reaches it.
type Host struct {
	fleet.Node
	Site        string
	Port        int      // 0: what ssh takes
	User        string   // "": what ssh takes
	Key         string   // file of the private key; "": what ssh takes
	Args        []string // further ones for ssh
	AllowDebian bool     // the lab's hosts run Debian
}

// Ansible is the Ansible of the repository.
type Ansible struct {
	Playbook    string   // the program ansible-playbook; ansible-inventory stands beside it
	SSH         string   // the program ssh
	Dir         string   // kubernetes/ansible, absolute
	Cache       string   // absolute, short, and nobody else's: sockets of ssh, gathered facts
	Environ     []string // key=value, what programs may inherit
	Inventories []string // besides those of the repository: absolute paths
}

// inventories are the arguments that name the inventories of a site.
func (a *Ansible) inventories(site string) []string {
	args := []string{"-i", "inventories/fleet.yml", "-i", "inventories/" + site}
	for _, extra := range a.Inventories {
		args = append(args, "-i", extra)
	}
	return args
}

// environment is what Ansible's programs get. Its own variables are left out: what
// it does stands in ansible.cfg, and a log that a variable turns on would hold secrets.
func (a *Ansible) environment() []string {
	var env []string
	for _, variable := range a.Environ {
		if !strings.HasPrefix(variable, "ANSIBLE_") {
			env = append(env, variable)
		}
	}
	return append(env,
		"ANSIBLE_CONFIG="+filepath.Join(a.Dir, "ansible.cfg"),
		"ANSIBLE_CACHE_PLUGIN_CONNECTION="+filepath.Join(a.Cache, "facts"),
		"ANSIBLE_SSH_CONTROL_PATH_DIR="+a.Cache,
		"ANSIBLE_SSH_CONTROL_PATH=%(directory)s/%%C", // the one of Ansible.ssh
		"ANSIBLE_NOCOLOR=1", "ANSIBLE_RETRY_FILES_ENABLED=0",
		"PYTHONUNBUFFERED=1", "LC_ALL=C.UTF-8",
	)
}

// Open asks ansible-inventory how the hosts of a site are reached.
func (a *Ansible) Open(ctx context.Context, site *fleet.Site) (*Site, error) {
	out, err := tool.Run(ctx, tool.Command{
		Name: filepath.Join(filepath.Dir(a.Playbook), "ansible-inventory"),
		Args: append(a.inventories(site.Name), "--list"), Dir: a.Dir, Env: a.environment(),
	})
	if err != nil {
		return nil, fmt.Errorf("reading the inventory of %s: %w", site.Name, err)
	}
	return parseInventory(out, site)
}

func parseInventory(data []byte, site *fleet.Site) (*Site, error) {
	var list struct {
		Meta struct {
			HostVars map[string]map[string]any `json:"hostvars"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading the inventory of %s: ansible-inventory gave no JSON", site.Name)
	}
	s := &Site{Site: site}
	for _, node := range site.Nodes {
		vars, ok := list.Meta.HostVars[node.Name]
		if !ok {
			return nil, fmt.Errorf("reading the inventory of %s: Ansible knows no host %s", site.Name, node.Name)
		}
		host, err := newHost(site.Name, node, vars)
		if err != nil {
			return nil, fmt.Errorf("reading the inventory of %s: host %s: %w", site.Name, node.Name, err)
		}
		s.Hosts = append(s.Hosts, host)
	}
	return s, nil
}

// newHost reads the variables that say how a host is reached.
func newHost(site string, node fleet.Node, vars map[string]any) (Host, error) {
	h := Host{Node: node, Site: site}
	text := func(name string) (string, error) {
		value, ok := vars[name]
		if !ok || value == nil {
			return "", nil
		}
		text := fmt.Sprint(value)
		if strings.Contains(text, "{{") || strings.Contains(text, "{%") {
			return "", fmt.Errorf("%s holds a template, which archipel does not compute: write the value itself", name)
		}
		return text, nil
	}
	var errs []error
	get := func(name string) string {
		value, err := text(name)
		errs = append(errs, err)
		return value
	}
	if address := get("ansible_host"); address != "" {
		h.SSHHost = address
	}
	if strings.HasPrefix(h.SSHHost, "-") {
		errs = append(errs, errors.New("ansible_host begins with a dash"))
	}
	h.User, h.Key = get("ansible_user"), get("ansible_ssh_private_key_file")
	if strings.HasPrefix(h.User, "-") {
		errs = append(errs, errors.New("ansible_user begins with a dash"))
	}
	if port := get("ansible_port"); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			errs = append(errs, fmt.Errorf("ansible_port is %q, which is no port", port))
		}
		h.Port = n
	}
	for _, name := range []string{"ansible_ssh_common_args", "ansible_ssh_extra_args"} {
		args, err := splitWords(get(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		h.Args = append(h.Args, args...)
	}
	h.AllowDebian = strings.EqualFold(get("node_base_allow_debian"), "true")
	return h, errors.Join(errs...)
}

// splitWords splits a text into words as a shell does: quotes and backslashes, no
// expansion. Ansible splits the arguments of ssh the same way.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
