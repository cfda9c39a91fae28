package check

import (
	"fmt"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// concern makes a finding about an object, or about one of its containers; the engine adds
// rule, severity and sites. field is the path of what is wrong.
func (s *Site) concern(o *render.Object, container string, field []string, fix, format string, args ...any) finding.Finding {
	f := finding.Finding{
		Position: s.At(o, field...), Message: fmt.Sprintf(format, args...), Fix: fix,
		Subject: Subject(o), Owner: Owner(o),
	}
	if container != "" {
		f.Subject += " container " + container
	}
	return f
}

// Subject names an object as findings and the baseline do: "DaemonSet kube-system/cilium".
func Subject(o *render.Object) string { return named(o) }

// Owner says who writes an object.
func Owner(o *render.Object) finding.Owner {
	if r := o.Origin.Release; r != nil {
		if fromGit(r) {
			return finding.Ours
		}
		return finding.Chart
	}
	if k := o.Origin.Kustomization; k != nil && k.Source != nil && !k.Source.Local {
		return finding.Upstream
	}
	return finding.Ours
}

// of says of a finding which object it is about, as concern does.
func of(o *render.Object, f finding.Finding) finding.Finding {
	f.Subject, f.Owner = Subject(o), Owner(o)
	return f
}

// ContainerNames are the names of an object's containers, those that run first included.
func ContainerNames(o *render.Object) []string {
	var names []string
	for _, path := range containers(o) {
		names = append(names, textAt(o.Object, append(path, "name")...))
	}
	return names
}
