package check

import (
	"bytes"

	"archipel/internal/finding"
)

func yamlByteOrderMark() Rule {
	return Rule{
		ID: "yaml-byte-order-mark", Group: YAML, Severity: finding.Warning,
		Summary: "A file begins with a byte order mark.",
		Reason:  "UTF-8 needs none; some readers take it for a part of the first key, which is then unknown.",
		Bad:     overlay("kubernetes/flux/apps/whoami/app/example.yaml", "\ufeffkey: value\n"),
		Good:    overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
		File: func(f *File) []finding.Finding {
			if !bytes.HasPrefix(f.Data, []byte("\ufeff")) {
				return nil
			}
			at := finding.Position{File: f.Path, Line: 1, Column: 1}
			return []finding.Finding{problem(at, "save the file without it; archipel lint --fix does", "the file begins with a byte order mark")}
		},
	}
}
