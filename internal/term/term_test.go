package term

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"archipel/internal/status"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestStyleOfNoTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	env := func(name string) string { return map[string]string{"COLUMNS": "100", "TERM": "xterm"}[name] }
	for _, style := range []Style{NewStyle(file, env), NewStyle(&bytes.Buffer{}, env)} {
		if style.Colour || style.Live || style.Width() != 100 {
			t.Errorf("no terminal gives %+v, %d columns", style, style.Width())
		}
	}
	none := func(string) string { return "" }
	if width := NewStyle(&bytes.Buffer{}, none).Width(); width != unlimited {
		t.Errorf("%d columns where nothing is known", width)
	}
	if width := (Style{}).Width(); width != unlimited {
		t.Errorf("the zero style has %d columns", width)
	}
}

func TestPaint(t *testing.T) {
	if got := (Style{Colour: true}).Paint(Bad, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	for _, got := range []string{Style{}.Paint(Bad, "x"), Style{Colour: true}.Paint(Plain, "x")} {
		if got != "x" {
			t.Errorf("got %q", got)
		}
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		text    string
		clean   string
		columns int
	}{
		{"plain", "plain", 5},
		{"a\tb\nc\r\n", "a b c  ", 7},
		{"\x1b[31mred\x1b[0m\x07\x7f\u009b1m", "[31mred[0m1m", 12},
		{"\u202eltr\u2066", "ltr", 3},
		{"日本", "日本", 4},
		{"e\u0301", "e\u0301", 1},
		{"✓ ✗ …", "✓ ✗ …", 5},
		{"bad\xff", "bad", 3},
	} {
		if got := Clean(test.text); got != test.clean || Columns(got) != test.columns {
			t.Errorf("Clean(%q) = %q, %d columns; want %q, %d", test.text, got, Columns(got), test.clean, test.columns)
		}
	}
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"short", 5, "short"}, {"longer", 5, "long…"}, {"a bcd", 3, "a…"}, {"日本語", 4, "日…"}, {"ab", 1, "…"}, {"ab", 0, ""},
	} {
		if got := Cut(test.text, test.columns); got != test.want || Columns(got) > test.columns {
			t.Errorf("Cut(%q, %d) = %q, want %q", test.text, test.columns, got, test.want)
		}
	}
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"one two three", 7, "one two|three"}, {"", 5, ""}, {"abcdefgh ij", 3, "abc|def|gh|ij"}, {"日本語 x", 4, "日本|語 x"}, {"  a   b ", 9, "a b"}, {"日", 1, "日"},
	} {
		if got := strings.Join(Wrap(test.text, test.columns), "|"); got != test.want {
			t.Errorf("Wrap(%q, %d) = %q, want %q", test.text, test.columns, got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table{Indent: 2}
	table.Row(Cell{Text: "name"}, Cell{Text: "state"}, Cell{Text: "why"})
	table.Row(Cell{Text: "日本"}, Cell{"ready", Good}, Cell{Text: ""})
	table.Row(Cell{Text: "a-long-name"}, Cell{Text: ""}, Cell{Text: "for\n a reason that is far too long for a line of twenty columns"})
	var plain, colour strings.Builder
	if err := table.Write(&plain, Style{width: 40}); err != nil {
		t.Fatal(err)
	}
	want := "  name         state  why\n  日本         ready\n  a-long-name         for  a reason tha…\n"
	if plain.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", plain.String(), want)
	}
	if err := table.Write(&colour, Style{width: 40, Colour: true}); err != nil {
		t.Fatal(err)
	}
	var whole strings.Builder
	if err := table.Write(&whole, Style{}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(whole.String(), "for  a reason that is far too long for a line of twenty columns\n") {
		t.Errorf("cut where nothing limits lines:\n%s", whole.String())
	}
	if got := strings.NewReplacer("\x1b[32m", "", "\x1b[0m", "").Replace(colour.String()); got != want || got == colour.String() {
		t.Errorf("colours move columns, or there are none:\n%s", got)
	}
}

func snapshots() map[string]status.Snapshot {
	now := time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { t := now.Add(-d); return &t }
	const revision = "main@sha1:2d6f1c9a4b825dc642cb6eb9a060e54bf8d69288"
	ref := func(kind, namespace, name string) status.Ref {
		return status.Ref{Kind: kind, Namespace: namespace, Name: name}
	}
	ks := func(name string, state status.State, reason string) status.Object {
		return status.Object{Ref: ref("Kustomization", "flux-system", name), State: state, Reason: reason, Revision: revision}
	}
	node := func(name, role string) status.Node {
		return status.Node{Name: name, Role: role, State: status.Ready}
	}
	workload := func(kind, namespace, name string, ready, desired int64) status.Object {
		state, reason := status.Ready, ""
		if ready < desired {
			state, reason = status.Progressing, "PodsNotReady"
		}
		return status.Object{Ref: ref(kind, namespace, name), State: state, Reason: reason, Replicas: &status.Replicas{Ready: ready, Desired: desired}}
	}
	good := status.Site{
		Name: "site-a", State: status.Ready, Reachable: true, KubernetesVersion: "v1.36.4+k3s1", Revision: revision,
		Nodes:          []status.Node{node("site-a-server-1", "server"), node("site-a-agent-1", "agent"), node("site-a-agent-2", "agent")},
		Kustomizations: []status.Object{ks("cilium", status.Ready, "ReconciliationSucceeded"), ks("flux-system", status.Ready, ""), ks("metallb", status.Ready, ""), ks("metallb-config", status.Ready, ""), ks("whoami", status.Suspended, "Suspended")},
		HelmReleases: []status.Object{
			{Ref: ref("HelmRelease", "flux-system", "cilium"), State: status.Ready, Version: "1.20.2"},
			{Ref: ref("HelmRelease", "metallb-system", "metallb"), State: status.Ready, Version: "0.16.2"},
		},
		Sources: []status.Object{{Ref: ref("GitRepository", "flux-system", "flux-system"), State: status.Ready}, {Ref: ref("HelmRepository", "flux-system", "cilium"), State: status.Ready}},
		Workloads: []status.Object{
			workload("DaemonSet", "kube-system", "cilium", 3, 3), workload("Deployment", "whoami", "whoami", 2, 2),
		},
	}
	bad := good
	bad.Name, bad.State = "site-b", status.Failed
	bad.Nodes = []status.Node{good.Nodes[0], good.Nodes[1], {Name: "site-b-agent-2", Role: "agent", State: status.Failed, Reason: "NodeStatusUnknown"}}
	bad.Kustomizations = []status.Object{ks("cilium", status.Ready, ""), ks("metallb", status.Failed, "HealthCheckFailed"), ks("metallb-config", status.Progressing, "DependencyNotReady")}
	bad.HelmReleases = []status.Object{good.HelmReleases[0], {Ref: ref("HelmRelease", "metallb-system", "metallb"), State: status.Failed, Reason: "InstallFailed"}}
	bad.Sources = []status.Object{good.Sources[0], {Ref: ref("HelmRepository", "flux-system", "metallb"), State: status.Failed, Reason: "Failed"}}
	bad.Workloads = []status.Object{workload("DaemonSet", "kube-system", "cilium", 2, 3)}
	bad.Notes = []string{"StatefulSets not read: the credentials may not list them"}
	bad.Causes = []status.Cause{
		{Object: ref("Node", "", "site-b-agent-2"), State: status.Failed, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.", Since: ago(95 * time.Minute), Affects: []status.Ref{ref("DaemonSet", "kube-system", "cilium")}, Hint: "see whether the node is up and k3s runs on it"},
		{Object: ref("HelmRepository", "flux-system", "metallb"), State: status.Failed, Reason: "Failed", Message: "failed to fetch Helm repository index: failed to cache index to temporary file: Get \"https://metallb.github.io/metallb/index.yaml\": dial tcp 203.0.113.9:443: connect: connection refused", Since: ago(125 * time.Second),
			Affects: []status.Ref{ref("HelmChart", "flux-system", "flux-system-metallb"), ref("HelmRelease", "metallb-system", "metallb"), ref("Kustomization", "flux-system", "metallb"), ref("Kustomization", "flux-system", "metallb-config")}},
		{Object: ref("Kustomization", "flux-system", "evil\x1b[2J"), State: status.Unknown, Reason: "a\x07b", Message: "line\none \x1b]0;title\x07", Affects: []status.Ref{}},
	}
	down := status.Site{Name: "site-c", State: status.Unreachable, Error: "192.0.2.11:6443: connection refused", Since: ago(26 * time.Hour)}
	lost := status.Site{Name: "site-d", State: status.Unreachable, Error: "no answer within 5s"}
	starting := status.Site{Name: "site-e", State: status.Progressing, Reachable: true, KubernetesVersion: "v1.36.4+k3s1",
		Causes: []status.Cause{{Object: ref("HelmRelease", "flux-system", "cilium"), State: status.Progressing, Reason: "Progressing", Message: "Running 'install' action with timeout of 20m0s", Since: ago(12 * time.Second), Affects: []status.Ref{ref("Kustomization", "flux-system", "cilium")}}}}
	return map[string]status.Snapshot{
		"ready":  {Taken: now, Sites: []status.Site{good}},
		"mixed":  {Taken: now, Sites: []status.Site{good, bad, down, lost, starting}},
		"no-one": {Taken: now, Sites: []status.Site{lost}},
	}
}

func TestSnapshot(t *testing.T) {
	for name, snapshot := range snapshots() {
		for _, width := range []int{80, 40} {
			var out strings.Builder
			if err := Snapshot(&out, snapshot, Style{width: width}); err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("snapshot-%s-%d", name, width), out.String())
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if width == 80 && Columns(line) > width {
					t.Errorf("%d columns: %q", Columns(line), line)
				}
				if strings.TrimRight(line, " ") != line || strings.ContainsAny(line, "\x1b\x07") {
					t.Errorf("blanks at the end, or control characters: %q", line)
				}
			}
		}
	}
	var out strings.Builder
	if err := Snapshot(&out, snapshots()["mixed"], Style{Colour: true, width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "snapshot-mixed-colour", strings.ReplaceAll(out.String(), "\x1b", "ESC"))
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 999 * time.Millisecond: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		2*time.Hour + 7*time.Minute: "2h07m", 99 * time.Hour: "4d03h",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("Elapsed(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestShortRevision(t *testing.T) {
	for revision, want := range map[string]string{
		"main@sha1:2d6f1c9a4b825dc642cb6eb9a060e54bf8d69288": "main@2d6f1c9",
		"v2.9.1@sha256:9f86d081884c7d659a2feaa0c55ad015":     "v2.9.1@9f86d08",
		"sha1:2d6f1c9a4b825dc6":                              "2d6f1c9",
		"feature/a@b@sha1:2d6f1c9a4b825dc6":                  "feature/a@b@2d6f1c9",
		"1.20.2":                                             "1.20.2", "": "",
	} {
		if got := shortRevision(revision); got != want {
			t.Errorf("shortRevision(%q) = %q, want %q", revision, got, want)
		}
	}
}

// screen is a terminal that understands what Progress writes.
type screen struct {
	mu     sync.Mutex
	lines  []string
	row    int
	hidden bool
	raw    strings.Builder
	t      *testing.T
}

func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(data)
	text := string(data)
	for text != "" {
		if len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' }) + 2
			argument, command := text[2:end], text[end]
			text = text[end+1:]
			switch command {
			case 'A':
				n, err := strconv.Atoi(argument)
				if err != nil || n > s.row {
					s.t.Errorf("moves up %q lines from line %d", argument, s.row)
				}
				s.row -= n
			case 'K', 'm':
			case 'J':
				s.lines = s.lines[:s.row]
			case 'l', 'h':
				s.hidden = command == 'l'
			default:
				s.t.Errorf("unknown sequence %q%c", argument, command)
			}
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			s.row++
			text = text[1:]
		default:
			end := strings.IndexAny(text, "\x1b\r\n")
			if end < 0 {
				end = len(text)
			}
			// Progress writes a line from its first column, after \r or \n.
			s.lines[s.row] = text[:end]
			text = text[end:]
		}
	}
	return len(data), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimRight(strings.Join(s.lines, "\n"), "\n")
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestProgressOnATerminal(t *testing.T) {
	s := &screen{t: t}
	clock := &testClock{now: time.Unix(0, 0)}
	columns, rows := 60, 24
	style := Style{Live: true, size: func() (int, int) { return columns, rows }}
	p := NewProgress(s, style, clock.Now)
	expect := func(want string) {
		t.Helper()
		if got := s.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
	if !s.hidden {
		t.Error("the cursor blinks")
	}
	p.Set("site-a", "waiting for the API server")
	clock.step(2 * time.Second)
	p.Set("site-long", "waiting for HelmRelease/cilium: Running 'install' action with timeout of 20m0s")
	expect("… site-a        2s  waiting for the API server\n" +
		"… site-long     0s  waiting for HelmRelease/cilium: Runnin…")
	clock.step(9 * time.Second)
	p.Print("site-a: etcd is up")
	expect("site-a: etcd is up\n" +
		"… site-a       11s  waiting for the API server\n" +
		"… site-long     9s  waiting for HelmRelease/cilium: Runnin…")
	p.Done("site-a", "ready")
	clock.step(time.Minute)
	p.tick()
	expect("site-a: etcd is up\n" +
		"✓ site-a       11s  ready\n" +
		"… site-long  1m09s  waiting for HelmRelease/cilium: Runnin…")

	p.Set("third", "hidden\x1b[2J on a small screen")
	rows = 4
	p.Print("smaller")
	expect("site-a: etcd is up\nsmaller\n" +
		"✓ site-a       11s  ready\n" +
		"… site-long  1m09s  waiting for HelmRelease/cilium: Runnin…\n" +
		"  and 1 more")
	rows = 24
	p.Fail("site-long", "kube-apiserver died")
	p.Stop()
	p.Stop()
	p.Set("site-a", "too late")
	expect("site-a: etcd is up\nsmaller\n" +
		"✓ site-a       11s  ready\n" +
		"✗ site-long  1m09s  kube-apiserver died\n" +
		"… third         0s  hidden[2J on a small screen")
	if s.hidden {
		t.Error("the cursor was not given back")
	}
}

func TestProgressElsewhere(t *testing.T) {
	var out syncBuffer
	clock := &testClock{now: time.Unix(0, 0)}
	p := NewProgress(&out, Style{}, clock.Now)
	p.Set("site-a", "waiting for the API server")
	p.Set("site-a", "waiting for the API server") // no change
	clock.step(9 * time.Second)
	p.tick() // not yet
	clock.step(time.Second)
	p.tick()
	p.Print("a line that stays")
	p.Set("site-a", "waiting for Flux")
	p.Done("site-a", "ready")
	clock.step(time.Minute)
	p.tick() // over
	p.Stop()
	want := "… site-a     0s  waiting for the API server\n" +
		"… site-a    10s  waiting for the API server\n" +
		"a line that stays\n" +
		"… site-a    10s  waiting for Flux\n" +
		"✓ site-a    10s  ready\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(data)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestProgressFromManyGoroutines(t *testing.T) {
	s := &screen{t: t}
	p := NewProgress(s, Style{Live: true}, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				p.Set(fmt.Sprint("site-", i), fmt.Sprint("step ", j))
				p.tick()
			}
			p.Done(fmt.Sprint("site-", i), "ready")
		})
	}
	all.Wait()
	p.Stop()
	if got := s.String(); strings.Count(got, "✓") != 8 || strings.Count(got, "\n") != 7 {
		t.Errorf("got:\n%s", got)
	}
}
