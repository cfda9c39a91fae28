package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

const rbacAPI = "rbac.authorization.k8s.io"

// grant is one entry of the rules of a Role or ClusterRole.
type grant struct {
	role                            *render.Object
	index                           string
	groups, resources, verbs, names []string
}

// grants returns what the roles of a site allow.
func (s *Site) grants() []grant {
	var all []grant
	for _, role := range s.kinds(rbacAPI, "ClusterRole", "Role") {
		for i := range listAt(role.Object, "rules") {
			at := strconv.Itoa(i)
			all = append(all, grant{
				role: role, index: at,
				groups: textsAt(role.Object, "rules", at, "apiGroups"), resources: textsAt(role.Object, "rules", at, "resources"),
				verbs: textsAt(role.Object, "rules", at, "verbs"), names: textsAt(role.Object, "rules", at, "resourceNames"),
			})
		}
	}
	return all
}

// of says whether a grant names a resource of an API group. One that names none by writing * is
// the business of role-wildcard.
func (g grant) of(apiGroup, resource string) bool {
	return slices.Contains(g.resources, resource) && (slices.Contains(g.groups, apiGroup) || slices.Contains(g.groups, "*"))
}

// may returns those of some verbs that a grant allows.
func (g grant) may(verbs ...string) []string {
	if slices.Contains(g.verbs, "*") {
		return verbs
	}
	return slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool { return !slices.Contains(g.verbs, verb) })
}

// named says whether a grant is of single objects, which it names.
func (g grant) named() bool { return len(g.names) > 0 && !slices.Contains(g.names, "*") }

// everywhere says whether a role counts in all namespaces: a ClusterRole does, unless
// RoleBindings alone refer to it.
func (s *Site) everywhere(role *render.Object) bool {
	if role.GetKind() != "ClusterRole" {
		return false
	}
	bound := false
	for _, binding := range s.kinds(rbacAPI, "ClusterRoleBinding", "RoleBinding") {
		if textAt(binding.Object, "roleRef", "kind") != "ClusterRole" || textAt(binding.Object, "roleRef", "name") != role.GetName() {
			continue
		}
		if binding.GetKind() == "ClusterRoleBinding" {
			return true
		}
		bound = true
	}
	return !bound
}

// grantRule makes a rule's function of what is too much in a grant: may is what it allows, ""
// when that is in order. A role is found once, at the first such grant. What counts in one
// namespace only is a warning.
func grantRule(fix string, may func(grant) string) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		var last *render.Object
		var allowed []string
		for _, g := range s.grants() {
			what := may(g)
			switch {
			case what == "":
				continue
			case g.role != last:
				last, allowed = g.role, nil
				f := s.concern(g.role, "", []string{"rules", g.index}, fix, "")
				if !s.everywhere(g.role) {
					f.Severity = finding.Warning
				}
				found = append(found, f)
			}
			if !slices.Contains(allowed, what) {
				allowed = append(allowed, what)
			}
			const most = 3
			shown := strings.Join(allowed[:min(len(allowed), most)], ", ")
			if len(allowed) > most {
				shown += fmt.Sprintf(" and %d more", len(allowed)-most)
			}
			found[len(found)-1].Message = fmt.Sprintf("%s may %s%s", named(g.role), shown, s.reach(g.role))
		}
		return found
	}
}

// reach says for a message where a role counts.
func (s *Site) reach(role *render.Object) string {
	switch {
	case role.GetKind() == "Role":
		return ", in namespace " + role.GetNamespace()
	case s.everywhere(role):
		return ", in every namespace"
	}
	return ""
}

// subject is whom a binding gives a role.
type subject struct {
	index                 string
	kind, namespace, name string
}

// subjects returns whom a binding gives its role.
func subjects(binding *render.Object) []subject {
	var all []subject
	for i := range listAt(binding.Object, "subjects") {
		at := strconv.Itoa(i)
		all = append(all, subject{
			index: at, kind: textAt(binding.Object, "subjects", at, "kind"), name: textAt(binding.Object, "subjects", at, "name"),
			namespace: textAt(binding.Object, "subjects", at, "namespace"),
		})
		if last := &all[len(all)-1]; last.kind == "ServiceAccount" && last.namespace == "" {
			last.namespace = binding.GetNamespace() // as the API server takes it
		}
	}
	return all
}

// bindingRule makes a rule's function of what is wrong with a binding, one finding for each.
func bindingRule(check func(s *Site, binding *render.Object) []finding.Finding) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, binding := range s.kinds(rbacAPI, "ClusterRoleBinding", "RoleBinding") {
			found = append(found, check(s, binding)...)
		}
		return found
	}
}

// roleExample is a manifest: a ClusterRole example with one rule, bound to a service account.
func roleExample(rule string) string {
	return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: example
rules:
  -
` + indent(rule, 4) + `---` + bindingExample("example", "kind: ServiceAccount\nname: example\nnamespace: whoami") + `---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: example
  namespace: whoami
`
}

// bindingExample is a manifest: a ClusterRoleBinding with one subject.
func bindingExample(role, subject string) string {
	return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: example
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ` + role + `
subjects:
  -
` + indent(subject, 4)
}
