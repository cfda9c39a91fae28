package engine

import (
	"sync"

	"github.com/aquasecurity/trivy/pkg/iac/scan"
)

// collected is what scans that run at the same time have found.
type collected struct {
	mu       sync.Mutex
	findings []Finding
	failed   []Failure
}

func (c *collected) fail(object string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, Failure{Object: object, Reason: err.Error()})
}

// add notes the checks that were not passed.
func (c *collected) add(results scan.Results, files bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, result := range results.GetFailed() {
		rule := result.Rule()
		f := Finding{
			Check: rule.ID, Severity: string(result.Severity()), Title: rule.Summary,
			Message: result.Description(), Fix: rule.Resolution,
		}
		metadata := result.Metadata()
		place := metadata.Range()
		if files {
			f.Path, f.Line = place.GetLocalFilename(), place.GetStartLine()
		} else {
			f.Object = place.GetLocalFilename()
		}
		c.findings = append(c.findings, f)
	}
}
