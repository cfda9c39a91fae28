package check

import (
	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

func ansibleTaskInvalid() Rule {
	return Rule{
		ID: "ansible-task-invalid", Group: Ansible, Severity: finding.Error,
		Summary: "A task does nothing, or two things at once.",
		Reason: "A task is one module with its arguments and keywords beside it. Two modules are refused when the file is read, often because a keyword is mistyped or indented too little " +
			"(https://docs.ansible.com/ansible/latest/reference_appendices/playbooks_keywords.html#task).",
		Bad:  ansibleExample("tasks:\n  - name: Greet\n    ansible.builtin.debug:\n      msg: Hello\n    whne: true\n"),
		Good: ansibleExample("tasks:\n  - name: Greet\n    ansible.builtin.debug:\n      msg: Hello\n    when: true\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			f.ansible().tasks(func(y *source.YAML, _ *role, task *yaml.Node) {
				key, _, more := action(task)
				switch {
				case task.Kind != yaml.MappingNode:
					found = append(found, problem(y.Position(task), "make it a mapping with one module", "a task is a mapping"))
				case key == nil:
					found = append(found, problem(y.Position(task), "add a module", "the task does nothing"))
				case key.Value == "block" || key.Value == "rescue" || key.Value == "always":
				case more != nil:
					found = append(found, problem(y.Position(more), "correct the name of the keyword, or make it a task of its own", "the task does %s already, and %s is no keyword of a task", key.Value, more.Value))
				}
			})
			return found
		},
	}
}
