package terraform

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Action is what happens to a resource.
type Action string

// The actions, what loses data first.
const (
	Destroy Action = "destroy"
	Replace Action = "replace"
	Update  Action = "update"
	Create  Action = "create"
	Forget  Action = "forget" // it stays, and the state no longer knows it
	Import  Action = "import"
	Move    Action = "move"
)

// rank is an action's place in what is shown.
func (a Action) rank() int {
	return slices.Index([]Action{Destroy, Replace, Forget, Update, Create, Import, Move}, a)
}

// Loses says whether an action destroys what is there.
func (a Action) Loses() bool { return a == Destroy || a == Replace }

// Change is what would happen to one resource.
type Change struct {
	Action  Action   `json:"action"`
	What    string   `json:"what"` // in words
	Address string   `json:"address"`
	Fields  []string `json:"fields,omitempty"` // that change
	Reason  string   `json:"reason,omitempty"`
}

// Summary is what a plan would do at a site. It holds no text that a resource was given:
// a password may stand in any of them.
type Summary struct {
	Site     string   `json:"site"`
	Create   int      `json:"create"`
	Update   int      `json:"update"`
	Replace  int      `json:"replace"`
	Destroy  int      `json:"destroy"`
	Changes  []Change `json:"changes"`
	Drift    []Change `json:"drift"`             // what differs from what the last apply left
	Outputs  []string `json:"outputs,omitempty"` // that change
	Warnings []string `json:"warnings,omitempty"`
}

// Any says whether there is something to apply.
func (s *Summary) Any() bool { return len(s.Changes) > 0 || len(s.Outputs) > 0 }

// Loses says whether something is destroyed.
func (s *Summary) Loses() bool { return s.Destroy+s.Replace > 0 }

// planned is what show -json prints of a plan, but for what is not used.
type planned struct {
	Format  string           `json:"format_version"`
	Changes []resourceChange `json:"resource_changes"`
	Drift   []resourceChange `json:"resource_drift"`
	Outputs map[string]struct {
		Actions []string `json:"actions"`
	} `json:"output_changes"`
}

type resourceChange struct {
	Address  string `json:"address"`
	Previous string `json:"previous_address"`
	Mode     string `json:"mode"`
	Reason   string `json:"action_reason"`
	Change   struct {
		Actions         []string       `json:"actions"`
		Before          map[string]any `json:"before"`
		After           map[string]any `json:"after"`
		Unknown         any            `json:"after_unknown"`
		BeforeSensitive any            `json:"before_sensitive"`
		AfterSensitive  any            `json:"after_sensitive"`
		Replace         [][]any        `json:"replace_paths"`
		Importing       any            `json:"importing"`
	} `json:"change"`
}

// Summarise reads what show -json prints of a plan.
func Summarise(site string, data []byte) (*Summary, error) {
	var p planned
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("reading the plan of %s: show -json printed no plan", site) // the error could quote a secret
	}
	if !strings.HasPrefix(p.Format, "1.") {
		return nil, fmt.Errorf("reading the plan of %s: its format is %q, and archipel knows 1.x", site, p.Format)
	}
	s := &Summary{Site: site, Changes: []Change{}, Drift: []Change{}}
	for _, r := range p.Changes {
		change, ok := r.change()
		if !ok {
			continue
		}
		switch change.Action {
		case Create:
			s.Create++
		case Update:
			s.Update++
		case Replace:
			s.Replace++
		case Destroy:
			s.Destroy++
		}
		s.Changes = append(s.Changes, change)
	}
	for _, r := range p.Drift {
		change, ok := r.change()
		if !ok || !s.repairs(change) {
			continue
		}
		change.Reason = ""
		s.Drift = append(s.Drift, change)
	}
	for name, output := range p.Outputs {
		if !slices.Equal(output.Actions, []string{"no-op"}) {
			s.Outputs = append(s.Outputs, name)
		}
	}
	slices.Sort(s.Outputs)
	order := func(a, b Change) int {
		return cmp.Or(a.Action.rank()-b.Action.rank(), strings.Compare(a.Address, b.Address))
	}
	slices.SortFunc(s.Changes, order)
	slices.SortFunc(s.Drift, order)
	return s, nil
}

// repairs says whether a drift matters: something is gone, or the plan brings back what has
// changed. The rest is what providers read anew each time, such as the free space of a pool.
func (s *Summary) repairs(drift Change) bool {
	if drift.Action == Destroy {
		return true
	}
	planned := slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Address == drift.Address })
	return planned && len(drift.Fields) > 0
}

// blank says whether a value holds nothing: providers return some of them as null at one time
// and as an empty list at another.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// change is a resource's change in words; false when nothing happens to it.
func (r resourceChange) change() (Change, bool) {
	address := clean(r.Address)
	c := Change{What: What(address), Address: address, Reason: reasonOf(r.Reason)}
	if r.Mode == "data" {
		return c, false
	}
	switch actions := strings.Join(r.Change.Actions, " "); actions {
	case "create":
		c.Action = Create
	case "update":
		c.Action = Update
		c.Fields = r.fields()
	case "delete":
		c.Action = Destroy
	case "delete create", "create delete":
		c.Action = Replace
		c.Fields = r.fields()
		if at := r.replaced(); at != "" {
			c.Reason = at + " cannot be changed in place"
		}
	case "forget":
		c.Action = Forget
	case "no-op":
		switch {
		case r.Change.Importing != nil:
			c.Action = Import
		case r.Previous != "" && r.Previous != r.Address:
			c.Action, c.Reason = Move, "from "+clean(r.Previous)
		default:
			return c, false
		}
	default: // read, open
		return c, false
	}
	return c, true
}

// replaced names the attributes that force a replacement.
func (r resourceChange) replaced() string {
	var names []string
	for _, path := range r.Change.Replace {
		if len(path) > 0 {
			names = append(names, fmt.Sprint(path[0]))
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// fields names the attributes that change. The values of numbers and switches are shown,
// unless they are sensitive; no text is.
func (r resourceChange) fields() []string {
	names := map[string]bool{}
	for name := range r.Change.Before {
		names[name] = true
	}
	for name := range r.Change.After {
		names[name] = true
	}
	unknown, _ := r.Change.Unknown.(map[string]any)
	for name := range unknown {
		names[name] = true
	}
	hidden := func(name string) bool {
		return marked(r.Change.BeforeSensitive, name) || marked(r.Change.AfterSensitive, name)
	}
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, fresh := r.Change.Before[name], r.Change.After[name]
		_, computed := unknown[name]
		switch {
		case !computed && (reflect.DeepEqual(old, fresh) || blank(old) && blank(fresh)):
		case !computed && plain(old) && plain(fresh) && !hidden(name):
			fields = append(fields, fmt.Sprintf("%s %s -> %s", name, value(old), value(fresh)))
		case computed && fresh == nil && name == "id":
		default:
			fields = append(fields, name)
		}
	}
	return fields
}

// marked says whether an attribute, or a part of it, is sensitive.
func marked(marks any, name string) bool {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		mark, ok := m[name]
		yes, simple := mark.(bool)
		return ok && (yes || !simple)
	}
	return false
}

// clean drops what could steer a terminal: keys of resources may come from anywhere.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
}

func plain(v any) bool {
	switch v.(type) {
	case nil, bool, float64:
		return true
	}
	return false
}

func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// reasonOf words why the tool chose an action.
func reasonOf(reason string) string {
	switch reason {
	case "delete_because_no_resource_config":
		return "it is no longer in the configuration"
	case "delete_because_no_module":
		return "its module is no longer called"
	case "delete_because_each_key", "delete_because_count_index":
		return "what it was made for is no longer there"
	case "delete_because_no_move_target":
		return "what it was moved to is not there"
	case "delete_because_wrong_repetition":
		return "it is counted otherwise"
	case "replace_because_tainted":
		return "its creation did not end"
	case "replace_by_request", "replace_by_triggers":
		return "it is asked for"
	case "replace_because_cannot_update":
		return "it cannot be changed in place"
	}
	return ""
}

// What words the address of a resource: its kind, and the keys or the name that tell it from
// the others of its kind.
func What(address string) string {
	// module.site.module.machine["site-a-agent-1"].libvirt_domain.this[0]
	part := regexp.MustCompile(`([A-Za-z0-9_-]+)(?:\[("(?:[^"\\]|\\.)*"|\d+)\])?(?:\.|$)`)
	parts := part.FindAllStringSubmatch(address, -1)
	if len(parts) < 2 {
		return address
	}
	var keys []string
	for _, p := range parts {
		if key := strings.Trim(p[2], `"`); key != "" && p[2][0] == '"' && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	kind, name := parts[len(parts)-2][1], parts[len(parts)-1][1]
	words := map[string]string{
		"libvirt_domain": "machine", "libvirt_volume": "volume", "libvirt_network": "network", "libvirt_pool": "pool of volumes",
	}[kind]
	switch {
	case kind == "terraform_data": // it is what its name says
		words, name = strings.ReplaceAll(name, "_", " "), "this"
	case words == "":
		_, words, _ = strings.Cut(kind, "_")
		words = strings.ReplaceAll(cmp.Or(words, kind), "_", " ")
	}
	if name != "this" && name != "main" && !strings.HasSuffix(kind, "_"+name) {
		words += " " + name
	}
	if len(keys) > 0 {
		words += " of " + strings.Join(keys, ", ")
	}
	return words
}
