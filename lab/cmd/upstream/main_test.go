package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archipel/lab/internal/labtest"
	"archipel/lab/internal/pack"
)

func TestPackReadsTheModulesAndPrintsWhatItMade(t *testing.T) {
	var modules bytes.Buffer
	for _, m := range labtest.Modules(t) {
		if err := json.NewEncoder(&modules).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "new", "pack")
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"pack", "--modules", "-", "--out", out}, &modules, &stdout, &stderr); code != exitClean {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	var printed pack.Manifest
	if err := json.Unmarshal(stdout.Bytes(), &printed); err != nil {
		t.Fatal(err)
	}
	if len(printed.Charts) != 2 || len(printed.Artifacts) != 1 {
		t.Errorf("printed %+v", printed)
	}
	for _, note := range []string{"notification-controller", "source-watcher"} {
		if !strings.Contains(stderr.String(), note) {
			t.Errorf("the log does not mention %s: %s", note, &stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	config := func(listen string) string {
		file := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"listen":%q,"proxy":"127.0.0.1:0","ca":"ca.pem"}`, listen), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "usage:"},
		{[]string{"dance"}, exitUsage, "usage:"},
		{[]string{"pack", "--out", "x"}, exitUsage, "every flag needs a value"},
		{[]string{"pack", "--modules", "x", "--out", "y", "z"}, exitUsage, `unexpected "z"`},
		{[]string{"pack", "--modules", "/nowhere", "--out", "x"}, exitFailed, "no such file"},
		{[]string{"serve", "--help"}, exitClean, ""},
		{[]string{"serve", "--config", config("0.0.0.0:0")}, exitUsage, "not a loopback address"},
		{[]string{"forward", "--network", "x", "--ways", "127.0.0.1:1"}, exitUsage, "ADDRESS:PORT=ADDRESS:PORT"},
		{[]string{"forward", "--network", "x", "--ways", "0.0.0.0:1=127.0.0.1:1"}, exitUsage, "no loopback address"},
		{[]string{"forward", "--network", "/nowhere", "--ways", "127.0.0.1:1=127.0.0.1:1"}, exitFailed, "no such file"},
		{[]string{"serve", "--config", config(busy.Addr().String())}, exitFailed, "address already in use"},
		{[]string{"serve", "--config", config("127.0.0.1:0")}, exitClean, "stopped"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(stopped, test.args, strings.NewReader(""), &stdout, &stderr)
		if code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("upstream %s: exit %d, want %d; stderr %q, want %q in it", strings.Join(test.args, " "), code, test.code, &stderr, test.want)
		}
	}
}
