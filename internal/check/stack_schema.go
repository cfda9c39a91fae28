package check

import (
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
	"archipel/internal/schema"
)

// refusal is one thing that the API server would refuse of an object.
type refusal struct {
	object *render.Object
	schema.Problem
}

// refusals holds the objects of a site to the schemas of its API server.
func (s *Site) refusals() []refusal {
	type site struct{ name string }
	return once(s.Fleet, site{s.Site.Name}, func() []refusal {
		var all []refusal
		for _, o := range s.Render.Objects {
			if o.Origin.Opaque && strings.HasPrefix(o.GetKind(), "ENC[") {
				continue // sops-metadata-encrypted says so
			}
			for _, p := range s.Schema.Validate(o.Object) {
				// What SOPS encrypted has another form than what it stands for.
				if !o.Origin.Opaque || p.Kind != schema.InvalidValue && p.Kind != schema.WrongType {
					all = append(all, refusal{o, p})
				}
			}
		}
		return all
	})
}

// refused makes a rule's function of the kinds of problems that it reports.
func refused(kinds ...schema.Kind) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, r := range s.refusals() {
			if !slices.Contains(kinds, r.Kind) {
				continue
			}
			found = append(found, of(r.object, problem(s.KeyAt(r.object, r.Path...), r.Fix, "%s: %s", made(r.object), r.Message)))
		}
		return found
	}
}

// made says which object is meant, and by which file of which chart it is made.
func made(o *render.Object) string {
	if o.Origin.Template != "" {
		return named(o) + " of " + o.Origin.Template
	}
	return named(o)
}
