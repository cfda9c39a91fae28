package playbooks

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/archtest"
)

// The callback plugin says what happens, and never what a task keeps to itself.
func TestEvents(t *testing.T) {
	const canary = "canary-7f3a"
	events, lines, output, err := run(t, "testdata/events.yml", site(1, 0, vars{"canary": canary}))
	if err == nil {
		t.Errorf("the last task does not fail:\n%s", output)
	}
	if bytes.Contains(lines, []byte(canary)) {
		t.Errorf("a value of a task with no_log is shown:\n%s", lines)
	}
	var got strings.Builder
	for _, e := range events {
		if e.Path != "" {
			e.Path = filepath.Base(e.Path)
		}
		fmt.Fprintf(&got, "%s|%s|%s|%s|%s|%s\n", e.Event, e.Host, e.Task, e.Role, e.Path, e.Msg)
	}
	archtest.Generated(t, filepath.Join("testdata", "events.golden"), []byte(got.String()), *update)
}
