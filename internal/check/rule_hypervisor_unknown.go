package check

import (
	"maps"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

func hypervisorUnknown() Rule {
	return Rule{
		ID: "hypervisor-unknown", Group: Terraform, Severity: finding.Error,
		Summary: "A node is put on a hypervisor that its site does not list.",
		Reason:  "Terraform cannot make its machine: there is no place to connect to. Most often the name is mistyped.",
		Bad: hostsWith("all:\n  vars:\n    hypervisors:\n      kvm-1:\n        uri: qemu:///system\n  children:\n    servers:\n      hosts:\n" +
			"        site-a-server-1:\n          ansible_host: 198.51.100.11\n          hypervisor: kmv-1\n"),
		Good: hostsWith("all:\n  vars:\n    hypervisors:\n      kvm-1:\n        uri: qemu:///system\n  children:\n    servers:\n      hosts:\n" +
			"        site-a-server-1:\n          ansible_host: 198.51.100.11\n          hypervisor: kvm-1\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, site := range f.Sites {
				known := map[string]bool{}
				named := map[string][]*yaml.Node{} // by file
				hosts := inventories + "/" + site.Name + "/hosts.yml"
				files := []string{inventories + "/fleet.yml", inventories + "/" + site.Name + "/group_vars/all/main.yml", hosts}
				for _, file := range files {
					if y := f.Parsed(file); y != nil {
						for _, document := range y.Documents {
							named[file] = machines(document, known, named[file])
						}
					}
				}
				for _, file := range files {
					found = append(found, unknownHypervisors(f.Parsed(file), site.Name, known, named[file])...)
				}
			}
			return found
		},
	}
}

// machines gathers the hypervisors that a document lists, and returns names with the values
// that say which one a machine is on.
func machines(n *yaml.Node, known map[string]bool, names []*yaml.Node) []*yaml.Node {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, child := range n.Content {
			names = machines(child, known, names)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i].Value, follow(n.Content[i+1])
			switch {
			case key == "hypervisors" && value.Kind == yaml.MappingNode:
				for j := 0; j < len(value.Content); j += 2 {
					known[value.Content[j].Value] = true
				}
			case key == "hypervisor" && value.Kind == yaml.ScalarNode:
				names = append(names, value)
			default:
				names = machines(value, known, names)
			}
		}
	}
	return names
}

func unknownHypervisors(y *source.YAML, site string, known map[string]bool, names []*yaml.Node) []finding.Finding {
	var found []finding.Finding
	for _, n := range names {
		if known[n.Value] || strings.Contains(n.Value, "{{") {
			continue
		}
		all := slices.Sorted(maps.Keys(known))
		fix := "add it to hypervisors of the site, or correct the name"
		if near, ok := fleet.Nearest(n.Value, all); ok {
			fix = "write " + near
		} else if len(all) > 0 {
			fix += ": there are " + strings.Join(all, ", ")
		}
		f := problem(y.Position(n), fix, "the site has no hypervisor %s", n.Value)
		f.Sites = []string{site}
		found = append(found, f)
	}
	return found
}
