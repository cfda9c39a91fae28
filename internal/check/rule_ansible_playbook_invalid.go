package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

func ansiblePlaybookInvalid() Rule {
	return Rule{
		ID: "ansible-playbook-invalid", Group: Ansible, Severity: finding.Error,
		Summary: "A playbook is not a list of plays, or a play has a field that Ansible does not know.",
		Reason: "Ansible refuses the whole playbook before it does anything " +
			"(https://docs.ansible.com/ansible/latest/reference_appendices/playbooks_keywords.html).",
		Bad:  ansibleExample("becme: true\n"),
		Good: ansibleExample("become: true\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, y := range f.ansible().playbooks {
				for _, document := range y.Documents {
					if document.Kind != yaml.SequenceNode {
						found = append(found, problem(y.Position(document), "make it a list of plays", "a playbook is a list of plays"))
					}
				}
			}
			keywords := playKeywords()
			f.ansible().plays(func(y *source.YAML, play *yaml.Node) {
				if has(play, "import_playbook") || has(play, "ansible.builtin.import_playbook") {
					return
				}
				if !has(play, "hosts") {
					found = append(found, problem(y.Position(play), "add hosts, for example all", "a play has no hosts"))
				}
				pairs(play, func(key, value *yaml.Node) {
					switch {
					case !slices.Contains(keywords, key.Value):
						found = append(found, problem(y.Position(key), "correct the name, or make it a task", "%s is no field of a play", key.Value))
					case slices.Contains([]string{"tasks", "pre_tasks", "post_tasks", "handlers", "roles"}, key.Value) && value.Kind != yaml.SequenceNode && value.ShortTag() != "!!null":
						found = append(found, problem(y.Position(value), "make it a list", "%s is not a list", key.Value))
					}
				})
			})
			return found
		},
	}
}
