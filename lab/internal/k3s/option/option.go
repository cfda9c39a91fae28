// Package option reads the command line and the config.yaml of k3s, and refuses what k3s does not document or the lab does not do.
package option

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// DefaultConfig is where k3s looks for its options.
const DefaultConfig = "/etc/rancher/k3s/config.yaml"

// ErrUsage marks options that cannot be read.
var ErrUsage = errors.New("bad options")

// Values are the options of one run.
type Values struct {
	set      map[string][]string
	defaults map[string]string
	// Rest holds what is left on the command line.
	Rest []string
}

// Given says whether the option was set anywhere.
func (v Values) Given(name string) bool { return v.set[name] != nil }

// List returns the values of an option that may be repeated.
func (v Values) List(name string) []string {
	if values, ok := v.set[name]; ok {
		return values
	}
	if value := v.defaults[name]; value != "" {
		return []string{value}
	}
	return nil
}

// Split returns the values of an option that may be repeated or hold commas.
func (v Values) Split(name string) []string {
	var all []string
	for _, value := range v.List(name) {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

// Text returns the value of an option.
func (v Values) Text(name string) string {
	if values := v.List(name); len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// Switch returns an option that is on or off.
func (v Values) Switch(name string) bool {
	on, _ := strconv.ParseBool(v.Text(name)) // it was checked when it was read
	return on
}

// Number returns an option that counts.
func (v Values) Number(name string) int {
	n, _ := strconv.Atoi(v.Text(name)) // it was checked when it was read
	return n
}

// Read returns the options of a command: those of the command line, before
// those of the environment, before those of the configuration files.
func Read(command Command, args []string, getenv func(string) string) (Values, error) {
	p := newParser(command)
	if err := p.commandLine(args); err != nil {
		return Values{}, err
	}
	for _, o := range p.table {
		if value := getenv(o.Env); o.Env != "" && value != "" && p.set[o.Name] == nil {
			if err := p.add(p.set, o, o.Env, value); err != nil {
				return Values{}, err
			}
		}
	}
	values := Values{set: p.set, defaults: p.defaults, Rest: p.rest}
	files, err := configFiles(values.Text("config"), values.Given("config"))
	if err != nil {
		return Values{}, err
	}
	configured := map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return Values{}, fmt.Errorf("reading the configuration: %w", err)
		}
		if err := p.config(configured, data); err != nil {
			return Values{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	for name, value := range configured {
		if p.set[name] == nil {
			p.set[name] = value
		}
	}
	return values, p.check()
}

// configFiles returns config.yaml and, in the order of their names, what lies
// in the folder config.yaml.d beside it.
func configFiles(file string, wanted bool) ([]string, error) {
	var files []string
	switch _, err := os.Stat(file); {
	case err == nil:
		files = append(files, file)
	case wanted || !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	more, err := filepath.Glob(file + ".d/*.y*ml")
	sort.Strings(more)
	return append(files, more...), err
}

// parser knows the options of one command.
type parser struct {
	command  Command
	table    []Option
	byName   map[string]Option
	byShort  map[string]Option
	defaults map[string]string
	set      map[string][]string
	rest     []string
}

func newParser(command Command) *parser {
	p := &parser{
		command: command, table: Table(), byName: map[string]Option{}, byShort: map[string]Option{},
		defaults: map[string]string{}, set: map[string][]string{},
	}
	for _, o := range p.table {
		for _, name := range append([]string{o.Name}, o.Aliases...) {
			p.byName[name] = o
		}
		if o.Commands&command == 0 {
			continue
		}
		if o.Short != "" {
			p.byShort[o.Short] = o
		}
		if o.Default != "" {
			p.defaults[o.Name] = o.Default
		}
	}
	return p
}

func (p *parser) commandLine(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			p.rest = append(p.rest, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		o, ok := p.byName[name]
		if !ok || o.Commands&p.command == 0 {
			if o, ok = p.byShort[name]; !ok {
				return fmt.Errorf("%w: flag provided but not defined: -%s", ErrUsage, name)
			}
		}
		switch {
		case hasValue:
		case o.Kind == Switch:
			value = "true"
		case len(args) == 0:
			return fmt.Errorf("%w: flag needs an argument: --%s", ErrUsage, name)
		default:
			value, args = args[0], args[1:]
		}
		if err := p.add(p.set, o, "--"+name, value); err != nil {
			return err
		}
	}
	return nil
}

// add sets an option, or adds to it when it may be repeated.
func (p *parser) add(to map[string][]string, o Option, where, value string) error {
	var err error
	switch o.Kind {
	case Switch:
		_, err = strconv.ParseBool(value)
	case Number:
		_, err = strconv.Atoi(value)
	case Duration:
		_, err = time.ParseDuration(value)
	case List:
		to[o.Name] = append(to[o.Name], value)
		return nil
	case Text:
	}
	if err != nil {
		return fmt.Errorf("%w: invalid value for %s: %q", ErrUsage, where, value)
	}
	to[o.Name] = []string{value}
	return nil
}

// config reads one file. A key replaces what an earlier file says, unless it
// ends with a plus. Any key of any command is good, because one file serves
// `k3s server` and `k3s etcd-snapshot`; a server's key is unknown to an agent.
func (p *parser) config(to map[string][]string, data []byte) error {
	var content map[string]any
	if err := yaml.UnmarshalStrict(data, &content, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	keys := make([]string, 0, len(content))
	for key := range content {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		name, adds := strings.CutSuffix(key, "+")
		o, ok := p.byName[name]
		if !ok || !p.takes(o) {
			return fmt.Errorf("%w: unknown key %q", ErrUsage, key)
		}
		values, err := scalars(content[key])
		if err != nil {
			return fmt.Errorf("%w: key %q: %w", ErrUsage, key, err)
		}
		if len(values) > 1 && o.Kind != List {
			return fmt.Errorf("%w: key %q takes one value, not a list", ErrUsage, key)
		}
		if !adds {
			delete(to, o.Name)
		}
		for _, value := range values {
			if err := p.add(to, o, "key "+strconv.Quote(key), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// takes says whether the configuration file of the command may hold the option.
func (p *parser) takes(o Option) bool {
	if p.command == Snapshot {
		return o.Commands&(Snapshot|Server) != 0
	}
	return o.Commands&p.command != 0
}

// scalars returns what a key holds: one value or a list of values.
func scalars(value any) ([]string, error) {
	switch value := value.(type) {
	case []any:
		var all []string
		for _, item := range value {
			one, err := scalars(item)
			if err != nil {
				return nil, err
			}
			if _, nested := item.([]any); nested {
				return nil, errors.New("a list in a list")
			}
			all = append(all, one...)
		}
		return all, nil
	case string:
		return []string{value}, nil
	case bool:
		return []string{strconv.FormatBool(value)}, nil
	case json.Number:
		return []string{value.String()}, nil
	case nil:
		return nil, errors.New("no value")
	}
	return nil, errors.New("neither a value nor a list of values")
}

// check refuses what the lab does not do. The snapshot command reads the
// server's file, which the server has checked.
func (p *parser) check() error {
	for _, o := range p.table {
		values, given := p.set[o.Name]
		if !given || o.Treatment != Refused || o.Commands&p.command == 0 {
			continue
		}
		if value := values[len(values)-1]; value != o.Default && !(o.Kind == Switch && isOff(value)) {
			return fmt.Errorf("%w: the lab's k3s does not do %s", ErrUsage, o.Name)
		}
	}
	if p.command != Snapshot && len(p.rest) > 0 {
		return fmt.Errorf("%w: unexpected %q", ErrUsage, p.rest[0])
	}
	return nil
}

func isOff(value string) bool {
	return slices.Contains([]string{"false", "0", "f", "F", "FALSE", "False"}, value)
}
