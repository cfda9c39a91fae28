package status

import (
	"fmt"
	"strings"
)

// Waiting says in one line for each cause what the site waits for, why, and
// what waits behind it. It is empty when the site is ready.
func (s Site) Waiting() []string {
	if !s.Reachable {
		return []string{"API server: " + s.Error}
	}
	var lines []string
	for _, cause := range s.Causes {
		lines = append(lines, cause.String())
	}
	return append(lines, s.Notes...)
}

// String is the cause in one line.
func (c Cause) String() string {
	line := c.Object.String() + ": " + c.Message
	if c.Message == "" {
		line = c.Object.String() + ": " + c.Reason
	}
	if len(c.Affects) > 0 {
		line += " <- " + listRefs(c.Affects, 2)
	}
	return line
}

// listRefs names the first refs and counts the rest.
func listRefs(refs []Ref, show int) string {
	var names []string
	for i, ref := range refs {
		if i == show && len(refs) > show+1 {
			names = append(names, fmt.Sprintf("%d more", len(refs)-show))
			break
		}
		names = append(names, ref.String())
	}
	return strings.Join(names, ", ")
}
