package guard

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/report"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// detector is gitleaks' detector with its own rules.
type detector struct{ gitleaks *detect.Detector }

func newDetector() (*detector, error) {
	d, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("loading the rules of gitleaks: %w", err)
	}
	d.IgnoreGitleaksAllow = true // exceptions stand in archipel.yaml, each with its reason
	return &detector{d}, nil
}

// content looks at a file of text. Larger ones than source.MaxSize are data rather than
// text that somebody wrote, and would take seconds.
func (d *detector) content(ctx context.Context, name string, data []byte) (found []finding.Finding, err error) {
	if len(data) > source.MaxSize || isBinary(data) {
		return nil, nil
	}
	defer func() {
		if recover() != nil { // what it says may quote the file
			found, err = nil, fmt.Errorf("looking for secrets in %s: gitleaks has failed", name)
		}
	}()
	lines := strings.Split(string(data), "\n")
	for _, f := range d.gitleaks.DetectContext(ctx, detect.Fragment{Raw: string(data), FilePath: name, StartLine: 1}) { //nolint:staticcheck // what replaces it is of a major version that is not there yet
		at, line := place(name, lines, f)
		if strings.Contains(line, "ENC[AES256_GCM,") {
			continue
		}
		found = append(found, veiled(RuleDetected, at,
			"replace the value wherever it is valid, then move it to a file that SOPS encrypts; accept it in archipel.yaml when it is no secret",
			"this looks like a secret: gitleaks calls it %s", f.RuleID))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return found, nil
}

// place finds where the secret of a finding begins, and its line.
func place(name string, lines []string, f report.Finding) (at finding.Position, line string) {
	at.File = name // of some findings it is the name that counts
	first, _, _ := strings.Cut(f.Secret, "\n")
	for n := f.StartLine; n >= 1 && n <= min(f.EndLine, len(lines)); n++ {
		if column := strings.Index(lines[n-1], first); column >= 0 {
			at.Line, at.Column = n, column+1
			return at, lines[n-1]
		}
	}
	at.Line, at.Column = max(f.StartLine, 0), min(max(f.StartLine, 0), 1)
	return at, ""
}

// isBinary tells as Git does.
func isBinary(data []byte) bool {
	return bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0
}
