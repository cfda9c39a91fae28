package check

import (
	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

func ansibleHandlerUnknown() Rule {
	return Rule{
		ID: "ansible-handler-unknown", Group: Ansible, Severity: finding.Error,
		Summary: "A task notifies a handler that is defined nowhere.",
		Reason: "Ansible fails when the task changes something, which is when the restart would be needed most, and not before " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_handlers.html).",
		Bad:  ansibleExample("tasks:\n  - name: Greet\n    ansible.builtin.debug:\n      msg: Hello\n    notify: Restart the greeter\n"),
		Good: ansibleExample("tasks:\n  - name: Greet\n    ansible.builtin.debug:\n      msg: Hello\n    notify: Restart greeter\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			a := f.ansible()
			known := map[string]bool{}
			handler := func(task *yaml.Node, in *role) {
				for _, field := range []string{"name", "listen"} {
					if _, n := lookup(task, field); n != nil {
						for _, name := range scalars(n) {
							known[name.Value] = true
							if in != nil {
								known[in.name+" : "+name.Value] = true
							}
						}
					}
				}
			}
			a.plays(func(_ *source.YAML, play *yaml.Node) {
				if _, list := lookup(play, "handlers"); list != nil {
					eachTask(list, func(task *yaml.Node) { handler(task, nil) })
				}
			})
			for _, name := range a.names() {
				for _, y := range a.roles[name].handlers {
					for _, document := range y.Documents {
						eachTask(document, func(task *yaml.Node) { handler(task, a.roles[name]) })
					}
				}
			}
			// A handler whose name is computed may be any.
			for name := range known {
				if templated(name) {
					return nil
				}
			}
			var found []finding.Finding
			a.tasks(func(y *source.YAML, _ *role, task *yaml.Node) {
				if _, notify := lookup(task, "notify"); notify != nil {
					for _, n := range scalars(notify) {
						if !known[n.Value] && !templated(n.Value) {
							found = append(found, problem(y.Position(n), "correct the name, or add the handler", "no handler is called %s, or listens to it", n.Value))
						}
					}
				}
			})
			return found
		},
	}
}

// scalars returns a value, or the values of a list.
func scalars(n *yaml.Node) []*yaml.Node {
	if n = follow(n); n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	var all []*yaml.Node
	for _, c := range n.Content {
		if c = follow(c); c.Kind == yaml.ScalarNode {
			all = append(all, c)
		}
	}
	return all
}
