package child

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

type safeBuffer struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.Write(data)
}

func TestChild(t *testing.T) {
	log := &safeBuffer{}
	r := NewRunner(log)
	sh := func(script string) Spec {
		return Spec{Name: "prog", Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/bin"}}
	}
	if err := r.Run(t.Context(), sh("echo one; printf two")); err != nil {
		t.Error(err)
	}
	if got := log.String(); got != "prog: one\nprog: two\n" {
		t.Errorf("logged %q", got)
	}
	err := r.Run(t.Context(), sh("echo a; echo b; echo c; echo why >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "prog ended: exit status 3\n  b\n  c\n  why") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Start(Spec{Name: "none", Path: "/no/such"}); err == nil {
		t.Error("a program that is not there starts")
	}
	for _, kill := range []bool{false, true} {
		spec := sh("trap 'exit 0' TERM; while :; do sleep 0.05; done")
		spec.Kill = kill
		c, err := r.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		c.Stop(5 * time.Second)
		if c.Succeeded() == kill {
			t.Errorf("kill %v: %v", kill, c.Err())
		}
	}
}
