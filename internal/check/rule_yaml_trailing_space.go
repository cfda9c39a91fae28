package check

import (
	"strings"

	"archipel/internal/finding"
)

func yamlTrailingSpace() Rule {
	return Rule{
		ID: "yaml-trailing-space", Group: YAML, Severity: finding.Warning,
		Summary: "Spaces stand at the end of a line.",
		Reason: "Nobody sees them, and they make changes of lines that say the same. In a block scalar they are part of the text, and no " +
			"finding.",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value  \n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		File: lines("spaces at the end of the line", "remove them; archipel lint --fix does", trimEnd),
	}
}

// trimEnd removes spaces and tabs at the end of a line; a carriage return stays.
func trimEnd(line string) string {
	if body, ok := strings.CutSuffix(line, "\r"); ok {
		return strings.TrimRight(body, " \t") + "\r"
	}
	return strings.TrimRight(line, " \t")
}
