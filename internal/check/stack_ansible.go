package check

import (
	"maps"
	"path"
	"slices"
	"strings"

	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
)

// ansibleTree is where Ansible's files stand, from the repository's root.
const ansibleTree = "kubernetes/ansible"

// ansible is what the tree has of playbooks and roles.
type ansible struct {
	playbooks []*source.YAML
	roles     map[string]*role
}

// role is a folder of roles/.
type role struct {
	name, dir string
	tasks     []*source.YAML
	handlers  []*source.YAML
	specs     *source.YAML // meta/argument_specs.yml, or meta/main.yml
}

// ansible returns playbooks and roles, read once in a run.
func (f *Fleet) ansible() *ansible {
	type key struct{}
	return once(f, key{}, func() *ansible {
		a := &ansible{roles: map[string]*role{}}
		for _, dir := range f.Dirs {
			if path.Dir(dir) == ansibleTree+"/roles" {
				a.roles[path.Base(dir)] = &role{name: path.Base(dir), dir: dir}
			}
		}
		for _, name := range f.Files {
			rest, below := strings.CutPrefix(name, ansibleTree+"/")
			if ext := path.Ext(name); !below || ext != ".yml" && ext != ".yaml" || sealed(name) {
				continue
			}
			if path.Dir(rest) == "playbooks" {
				if y := f.Parsed(name); y != nil {
					a.playbooks = append(a.playbooks, y)
				}
				continue
			}
			parts := strings.Split(rest, "/")
			if len(parts) < 4 || parts[0] != "roles" || a.roles[parts[1]] == nil {
				continue
			}
			r, y := a.roles[parts[1]], f.Parsed(name)
			switch {
			case y == nil:
			case parts[2] == "tasks":
				r.tasks = append(r.tasks, y)
			case parts[2] == "handlers":
				r.handlers = append(r.handlers, y)
			case parts[2] == "meta" && (strings.HasPrefix(parts[3], "argument_specs.") || r.specs == nil && len(y.Documents) > 0 && has(y.Documents[0], "argument_specs")):
				r.specs = y
			}
		}
		return a
	})
}

// names returns the names of the roles, sorted.
func (a *ansible) names() []string { return slices.Sorted(maps.Keys(a.roles)) }

// plays yields the plays of all playbooks; those that import another playbook included.
func (a *ansible) plays(with func(y *source.YAML, play *yaml.Node)) {
	for _, y := range a.playbooks {
		for _, document := range y.Documents {
			if document.Kind != yaml.SequenceNode {
				continue
			}
			for _, play := range document.Content {
				if play = follow(play); play.Kind == yaml.MappingNode {
					with(y, play)
				}
			}
		}
	}
}

// tasks yields all tasks: of plays and of roles, those in blocks included. in is nil for a play.
func (a *ansible) tasks(with func(y *source.YAML, in *role, task *yaml.Node)) {
	a.plays(func(y *source.YAML, play *yaml.Node) {
		for _, field := range []string{"pre_tasks", "tasks", "post_tasks", "handlers"} {
			if _, list := lookup(play, field); list != nil {
				eachTask(list, func(task *yaml.Node) { with(y, nil, task) })
			}
		}
	})
	for _, name := range a.names() {
		r := a.roles[name]
		for _, y := range slices.Concat(r.tasks, r.handlers) {
			for _, document := range y.Documents {
				eachTask(document, func(task *yaml.Node) { with(y, r, task) })
			}
		}
	}
}

// eachTask goes through a list of tasks, and through blocks.
func eachTask(list *yaml.Node, with func(task *yaml.Node)) {
	if list = follow(list); list.Kind != yaml.SequenceNode {
		return
	}
	for _, task := range list.Content {
		task = follow(task)
		with(task)
		for _, field := range []string{"block", "rescue", "always"} {
			if _, inner := lookup(task, field); inner != nil {
				eachTask(inner, with)
			}
		}
	}
}

// has says whether a document has a field.
func has(document *yaml.Node, path ...string) bool {
	_, value := lookup(document, path...)
	return value != nil
}

// templated says whether Ansible computes a text.
func templated(text string) bool { return strings.Contains(text, "{{") || strings.Contains(text, "{%") }

// action returns the key and the arguments of what a task does; nil when it does nothing.
// more is a second action, which Ansible refuses.
func action(task *yaml.Node) (key, arguments, more *yaml.Node) {
	if task.Kind != yaml.MappingNode {
		return nil, nil, nil
	}
	keywords := taskKeywords()
	for i := 0; i+1 < len(task.Content); i += 2 {
		k := task.Content[i]
		switch {
		case slices.Contains(keywords, k.Value), strings.HasPrefix(k.Value, "with_"):
		case key == nil:
			key, arguments = k, follow(task.Content[i+1])
		default:
			return key, arguments, k
		}
	}
	return key, arguments, nil
}

// builtin returns the short name of a module of ansible.builtin.
func builtin(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "ansible.builtin."), "ansible.legacy.")
}

// taskKeywords are what may stand beside the action of a task (Ansible, Playbook Keywords).
func taskKeywords() []string {
	return []string{
		"any_errors_fatal", "args", "async", "become", "become_exe", "become_flags", "become_method", "become_user", "changed_when", "check_mode",
		"collections", "connection", "debugger", "delay", "delegate_facts", "delegate_to", "diff", "environment", "failed_when", "ignore_errors",
		"ignore_unreachable", "listen", "loop", "loop_control", "module_defaults", "name", "no_log", "notify", "poll", "port", "register", "remote_user",
		"retries", "run_once", "tags", "throttle", "timeout", "until", "vars", "when",
	}
}

// playKeywords are the fields of a play (Ansible, Playbook Keywords).
func playKeywords() []string {
	return []string{
		"any_errors_fatal", "become", "become_exe", "become_flags", "become_method", "become_user", "check_mode", "collections", "connection", "debugger",
		"diff", "environment", "fact_path", "force_handlers", "gather_facts", "gather_subset", "gather_timeout", "handlers", "hosts", "ignore_errors",
		"ignore_unreachable", "max_fail_percentage", "module_defaults", "name", "no_log", "order", "port", "post_tasks", "pre_tasks", "remote_user", "roles",
		"run_once", "serial", "strategy", "tags", "tasks", "throttle", "timeout", "user", "validate_argspec", "vars", "vars_files", "vars_prompt",
	}
}

// roleUse is a place that uses a role.
type roleUse struct {
	file *source.YAML
	name *yaml.Node
	vars []*yaml.Node // mappings of variables given there and nowhere else
	play *yaml.Node   // nil in a role
	task string       // tasks_from, and with it the entry point; "main" by default
}

// uses returns all places that use a role.
func (a *ansible) uses() []roleUse {
	var all []roleUse
	entry := func(y *source.YAML, play, n *yaml.Node) {
		n = follow(n)
		u := roleUse{file: y, name: n, play: play, task: "main"}
		if n.Kind == yaml.MappingNode {
			if _, u.name = lookup(n, "role"); u.name == nil {
				_, u.name = lookup(n, "name")
			}
			if _, vars := lookup(n, "vars"); vars != nil {
				u.vars = append(u.vars, vars)
			}
			if _, from := lookup(n, "tasks_from"); from != nil {
				u.task = strings.TrimSuffix(strings.TrimSuffix(from.Value, ".yml"), ".yaml")
			}
		}
		if u.name != nil && u.name.Kind == yaml.ScalarNode {
			all = append(all, u)
		}
	}
	a.plays(func(y *source.YAML, play *yaml.Node) {
		if _, list := lookup(play, "roles"); list != nil && list.Kind == yaml.SequenceNode {
			for _, n := range list.Content {
				entry(y, play, n)
			}
		}
	})
	a.tasks(func(y *source.YAML, _ *role, task *yaml.Node) {
		key, arguments, _ := action(task)
		if key == nil || builtin(key.Value) != "import_role" && builtin(key.Value) != "include_role" {
			return
		}
		before := len(all)
		entry(y, nil, arguments)
		if _, vars := lookup(task, "vars"); vars != nil && len(all) > before {
			all[before].vars = append(all[before].vars, vars)
		}
	})
	for _, name := range a.names() {
		r := a.roles[name]
		if r.specs == nil || !strings.HasPrefix(path.Base(r.specs.Path), "main.") {
			continue
		}
		for _, document := range r.specs.Documents {
			if _, list := lookup(document, "dependencies"); list != nil && list.Kind == yaml.SequenceNode {
				for _, n := range list.Content {
					entry(r.specs, nil, n)
				}
			}
		}
	}
	return all
}

// options returns what a role's argument specification says of an entry point; nil when it says nothing.
func (r *role) options(entry string) *yaml.Node {
	if r == nil || r.specs == nil || len(r.specs.Documents) == 0 {
		return nil
	}
	_, options := lookup(r.specs.Documents[0], "argument_specs", entry, "options")
	if options == nil || options.Kind != yaml.MappingNode {
		return nil
	}
	return options
}

// pairs yields keys and values of a mapping.
func pairs(n *yaml.Node, with func(key, value *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		with(n.Content[i], follow(n.Content[i+1]))
	}
}

// ansibleExample is an example: a playbook with one play, and a role greet with an argument.
func ansibleExample(play string) string {
	return overlay(ansibleTree+"/playbooks/site.yml", "---\n- name: Set up the nodes\n  hosts: all\n"+indent(play, 2)) + greetRole
}

// greetRole is the role of ansibleExample.
const greetRole = `-- kubernetes/ansible/roles/greet/tasks/main.yml --
---
- name: Greet
  ansible.builtin.debug:
    msg: "Hello {{ greet_name }}"
-- kubernetes/ansible/roles/greet/handlers/main.yml --
---
- name: Restart greeter
  ansible.builtin.debug:
    msg: Restarted
-- kubernetes/ansible/roles/greet/meta/argument_specs.yml --
---
argument_specs:
  main:
    short_description: Greets
    options:
      greet_name:
        type: str
        required: true
      greet_times:
        type: int
        default: 1
`
