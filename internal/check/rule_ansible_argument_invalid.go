package check

import (
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"

	"go.yaml.in/yaml/v3"
)

func ansibleArgumentInvalid() Rule {
	return Rule{
		ID: "ansible-argument-invalid", Group: Ansible, Severity: finding.Error,
		Summary: "A role is given a value that its specification does not allow.",
		Reason: "Ansible checks the arguments when the role begins, and stops. Values that Ansible computes are not looked at " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html#role-argument-validation).",
		Bad:  ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n      greet_times: twice\n"),
		Good: ansibleExample("roles:\n  - role: greet\n    vars:\n      greet_name: you\n      greet_times: 2\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			a := f.ansible()
			for _, u := range a.uses() {
				options := a.roles[u.name.Value].options(u.task)
				for _, vars := range u.vars {
					pairs(vars, func(name, value *yaml.Node) {
						if _, option := lookupIn(options, name.Value); option != nil {
							if why := notAllowed(option, value); why != "" {
								found = append(found, problem(u.file.Position(value), "give what the role's argument_specs allow", "%s of role %s %s", name.Value, u.name.Value, why))
							}
						}
					})
				}
			}
			return found
		},
	}
}

// lookupIn is lookup in a mapping that may be missing.
func lookupIn(n *yaml.Node, key string) (k, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	return lookup(n, key)
}

// notAllowed says why a value does not fit an option of an argument specification.
func notAllowed(option, value *yaml.Node) string {
	if value.Kind == yaml.ScalarNode && (templated(value.Value) || value.ShortTag() == "!!null" || !strings.HasPrefix(value.ShortTag(), "!!")) {
		return "" // computed, absent or encrypted
	}
	if _, choices := lookup(option, "choices"); choices != nil && choices.Kind == yaml.SequenceNode && value.Kind == yaml.ScalarNode {
		if !slices.ContainsFunc(choices.Content, func(c *yaml.Node) bool { return c.Value == value.Value }) {
			var names []string
			for _, c := range choices.Content {
				names = append(names, c.Value)
			}
			return "is none of " + strings.Join(names, ", ")
		}
	}
	kind := "str"
	if _, n := lookup(option, "type"); n != nil {
		kind = n.Value
	}
	tag := value.ShortTag()
	switch kind {
	case "int":
		if _, err := strconv.ParseInt(value.Value, 10, 64); value.Kind != yaml.ScalarNode || err != nil {
			return "is no whole number"
		}
	case "float":
		if _, err := strconv.ParseFloat(value.Value, 64); value.Kind != yaml.ScalarNode || err != nil {
			return "is no number"
		}
	case "bool":
		// As Ansible's boolean() takes them.
		if !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "y", "n", "t", "f", "0", "1"}, strings.ToLower(value.Value)) || value.Kind != yaml.ScalarNode {
			return "is neither true nor false"
		}
	case "list":
		if value.Kind == yaml.MappingNode {
			return "is no list"
		}
	case "dict":
		if value.Kind == yaml.SequenceNode || value.Kind == yaml.ScalarNode && tag != "!!str" {
			return "is no mapping"
		}
	case "str", "path":
		if value.Kind != yaml.ScalarNode {
			return "is no text"
		}
	}
	return ""
}
