package check

import (
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

func ansibleFileMissing() Rule {
	return Rule{
		ID: "ansible-file-missing", Group: Ansible, Severity: finding.Error,
		Summary: "A task includes a file of tasks, or uses a template, that the tree does not have.",
		Reason: "Ansible stops at the task, on the first host and after everything before it has run " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbook_pathing.html).",
		Bad:  ansibleExample("tasks:\n  - name: More\n    ansible.builtin.import_tasks: tasks/more.yml\n"),
		Good: ansibleExample("tasks:\n  - name: More\n    ansible.builtin.import_tasks: tasks/more.yml\n") + overlay(ansibleTree+"/playbooks/tasks/more.yml", "---\n- name: Greet\n  ansible.builtin.debug:\n    msg: Hello\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			f.ansible().tasks(func(y *source.YAML, in *role, task *yaml.Node) {
				key, arguments, _ := action(task)
				if key == nil {
					return
				}
				folder := map[string]string{"import_tasks": "tasks", "include_tasks": "tasks", "template": "templates"}[builtin(key.Value)]
				file := arguments
				for _, field := range []string{"file", "src"} {
					if _, n := lookup(arguments, field); n != nil {
						file = n
					}
				}
				if folder == "" || file.Kind != yaml.ScalarNode || file.Value == "" || templated(file.Value) || path.IsAbs(file.Value) || strings.Contains(file.Value, "=") {
					return
				}
				// Ansible looks into the role first, then beside the file and the playbook.
				want := path.Join(path.Dir(y.Path), file.Value)
				places := []string{want, path.Join(path.Dir(y.Path), folder, file.Value)}
				if in != nil {
					want = path.Join(in.dir, folder, file.Value)
					places = append(places, want, path.Join(in.dir, file.Value))
				}
				if !slices.ContainsFunc(places, f.Has) {
					found = append(found, problem(y.Position(file), "correct the name, or add the file", "there is no %s", want))
				}
			})
			return found
		},
	}
}
