package check

import (
	"slices"

	"archipel/internal/finding"
)

func metallbPoolOverlap() Rule {
	return Rule{
		ID: "metallb-pool-overlap", Group: Kubernetes, Severity: finding.Error,
		Summary: "Two ranges of MetalLB's pools have an address in common.",
		Reason:  "MetalLB's webhook refuses the second one, be it of the same pool or of another, and Flux stops at it (MetalLB, poolsFor of internal/config).",
		Bad:     poolExample("- 198.51.100.200-198.51.100.210\n"),
		Good:    poolExample("- 198.51.100.201-198.51.100.210\n"),
		Site: func(s *Site) []finding.Finding {
			pools := s.pools()
			slices.SortStableFunc(pools, func(a, b span) int { return a.first.Compare(b.first) })
			var found []finding.Finding
			for i := 1; i < len(pools); i++ {
				// In order of first addresses, an overlap shows against the one that reaches farthest.
				before, this := pools[i-1], pools[i]
				if before.last.Compare(this.first) >= 0 && before.first.BitLen() == this.first.BitLen() {
					found = append(found, problem(s.At(this.pool, "spec", "addresses", this.index), "give every address to one pool only",
						"%s of pool %s overlaps %s of pool %s", this, this.pool.GetName(), before, before.pool.GetName()))
				}
				if before.last.Compare(this.last) > 0 && before.first.BitLen() == this.first.BitLen() {
					pools[i] = before
				}
			}
			return found
		},
	}
}
