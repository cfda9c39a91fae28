package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"archipel/scan/engine"
)

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		in     string
		code   int
		stdout string
		stderr string
	}{
		"version":          {[]string{"version"}, "", exitClean, "", ""},
		"help":             {[]string{"--help"}, "", exitClean, "usage: archipel-scan", ""},
		"unknown":          {[]string{"scan"}, "", exitUsage, "", "usage: archipel-scan"},
		"no request":       {nil, "", exitUsage, "", "bad request"},
		"another request":  {nil, `{"objects": 7}`, exitUsage, "", "bad request"},
		"an empty request": {nil, `{}`, exitClean, `"findings":[]`, ""},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), test.args, strings.NewReader(test.in), &stdout, &stderr); code != test.code {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
		if !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: stdout %q, stderr %q", name, stdout.String(), stderr.String())
		}
	}
}

func TestRunAnswers(t *testing.T) {
	request := `{"objects": [{"id": "one", "content": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b"},
		"spec": {"containers": [{"name": "c", "image": "d", "securityContext": {"privileged": true}}]}}}]}`
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), nil, strings.NewReader(request), &stdout, &stderr); code != exitClean {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var response engine.Response
	if err := json.Unmarshal(stdout.Bytes(), &response); err != nil {
		t.Fatal(err)
	}
	for _, f := range response.Findings {
		if f.Check == "KSV-0017" && f.Object == "one" && f.Severity == "HIGH" && strings.Contains(f.Message, "'c'") && f.Fix != "" {
			return
		}
	}
	t.Errorf("no KSV-0017 in %+v", response)
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := engine.Scan(ctx, &engine.Request{Objects: []engine.Object{{ID: "a", Content: []byte(`{"apiVersion": "v1", "kind": "Pod"}`)}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
