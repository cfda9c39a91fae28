package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testLock(t *testing.T, a *Ansible, file string, timeout time.Duration, user string) (*Lock, *heldLock, error) {
	t.Helper()
	l := &Lock{}
	l.ctx, l.cancel = contextWithCause(t.Context())
	held, err := a.lockHost(l, testSite().Hosts[0], Owner{User: user, PID: 7, Command: "archipel bootstrap site-a 'x'", Since: time.Unix(1790000000, 0)}, file, timeout)
	if err == nil {
		l.held, l.left = []*heldLock{held}, 1
		go l.watch(held)
		t.Cleanup(l.Release)
	}
	return l, held, err
}

func TestLock(t *testing.T) {
	a := testAnsible(t, "")
	file := filepath.Join(t.TempDir(), "lock")
	first, _, err := testLock(t, a, file, 30*time.Second, "ada@desk")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = testLock(t, a, file, 30*time.Second, "bob@desk")
	held, ok := errors.AsType[*HeldError](err)
	if !ok || held.Owner == nil {
		t.Fatalf("got %v", err)
	}
	held.Site = "site-a"
	for _, want := range []string{"ada@desk (archipel bootstrap site-a 'x', process 7) since 2026-", "works on site-a, by its lock on site-a-server-1", "is 0s old"} {
		if !strings.Contains(held.Error(), want) {
			t.Errorf("%q does not say %q", held, want)
		}
	}
	first.Release()
	if _, err := os.Stat(file + ".owner"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the owner is left: %v", err)
	}
	second, _, err := testLock(t, a, file, 30*time.Second, "bob@desk")
	if err != nil {
		t.Fatalf("the lock is not free after its release: %v", err)
	}
	second.Release()
}

// Whoever gives no sign of life loses the lock, though the connection stands.
func TestLockTimesOut(t *testing.T) {
	a := testAnsible(t, "")
	file := filepath.Join(t.TempDir(), "lock")
	l, held, err := testLock(t, a, file, time.Second, "ada@desk")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-held.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it is still held")
	}
	<-l.Context().Done()
	if _, _, err := testLock(t, a, file, 30*time.Second, "bob@desk"); err != nil {
		t.Errorf("the lock is not free: %v", err)
	}
}

// A program that the lock's process starts must not keep the lock.
func TestLockEndsWithItsConnection(t *testing.T) {
	a := testAnsible(t, "")
	file := filepath.Join(t.TempDir(), "lock")
	_, held, err := testLock(t, a, file, 30*time.Second, "ada@desk")
	if err != nil {
		t.Fatal(err)
	}
	held.stdin.Close()
	<-held.ended
	if _, _, err := testLock(t, a, file, 30*time.Second, "bob@desk"); err != nil {
		t.Errorf("the lock is not free: %v", err)
	}
}

func TestLockOfASite(t *testing.T) {
	site := testSite()
	a := testAnsible(t, "", "FAKE_DEAD=198.51.100.11 198.51.100.12")
	if _, err := a.Lock(t.Context(), site, Owner{User: "ada"}, &recorder{}); err == nil || !strings.Contains(err.Error(), "no server answers") {
		t.Errorf("got %v", err)
	}
}

func TestParseOwner(t *testing.T) {
	for _, line := range []string{"", "{", `{"user":""}`, `{"user":1}`, `{"user":"` + strings.Repeat("x", 3000) + `"}`} {
		if owner := parseOwner(line); owner != nil {
			t.Errorf("%.20q: got %+v", line, owner)
		}
	}
	e := &HeldError{Site: "site-a", Host: "h", Beat: time.Second}
	check(t, "unknown", e.Error(), "somebody works on site-a, by its lock on h; the last sign of life is 1s old")
}
