package terraform

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// fake is a tool that answers as OpenTofu 1.12.6 did when testdata was recorded. It is steered
// by files in its folder: NAME.fails makes the command NAME print it and fail.
const fake = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/calls"
env >"$here/environment"
if test -e "$here/$1.fails"; then cat "$here/$1.fails"; exit 1; fi
if test -e "$here/$1.once"; then cat "$here/$1.once"; rm "$here/$1.once"; exit 1; fi
case $1 in
version) if test "$2" = -json; then echo "warning: something"; echo '{"terraform_version": "1.12.6"}'; else echo "OpenTofu v1.12.6"; fi ;;
plan)
	for a in "$@"; do case $a in -out=*) echo "secret of a plan" >"${a#-out=}" ;; esac; done
	echo "noise of a program" ; echo "noise on stderr" >&2
	cat "$here/plan.events"; exit 2 ;;
show) cat "$here/plan.json" ;;
apply) cat "$here/apply.events" ;;
esac
`

// scene is a workspace with the fake tool.
type scene struct {
	*Workspace
	tool string // folder of the fake tool
}

func newScene(t *testing.T) *scene {
	t.Helper()
	root := t.TempDir()
	s := &scene{tool: filepath.Join(root, "tool")}
	write := func(name, content string, mode fs.FileMode) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("tool/tofu", fake, 0o755)
	for _, name := range []string{"plan.events", "plan.json", "apply.events"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		write("tool/"+name, string(data), 0o644)
	}
	write("kubernetes/terraform/envs/site-a/main.tf", "terraform {\n  backend \"s3\" {}\n}\n", 0o644)
	write("kubernetes/terraform/envs/site-b/main.tf", "", 0o644)
	write("kubernetes/terraform/modules/site/main.tf", "", 0o644)
	write("kubernetes/ansible/inventories/site-a/hosts.yml", "all:\n", 0o644)
	environ, _ := Environment([]string{"PATH=" + os.Getenv("PATH"), "TF_CLI_ARGS_plan=-lock=false", "TF_WORKSPACE=other"}, "")
	found, err := FindTool(t.Context(), []string{"terraform-that-is-not-there", filepath.Join(s.tool, "tofu")}, environ)
	if err != nil {
		t.Fatal(err)
	}
	s.Workspace = &Workspace{
		Site: "site-a", Root: root, Dir: filepath.Join(root, "kubernetes/terraform/envs/site-a"), Data: filepath.Join(root, "data/tofu"),
		Kept: filepath.Join(root, "plans"), Tool: found, Environ: environ, Backend: []string{"-backend-config=key=site-a/terraform.tfstate"},
	}
	release, err := s.Lock("a test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return s
}

func (s *scene) calls(t *testing.T, command string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.tool, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, command+" ") {
			n++
		}
	}
	return n
}

func (s *scene) steer(t *testing.T, file, record string) {
	t.Helper()
	data := []byte(record)
	if strings.HasSuffix(record, ".events") {
		var err error
		if data, err = os.ReadFile(filepath.Join("testdata", record)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.tool, file), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindTool(t *testing.T) {
	dir := t.TempDir()
	for name, version := range map[string]string{"old": "1.9.8", "new": "1.10.0", "next": "2.0.1"} {
		script := "#!/bin/sh\necho '{\"terraform_version\": \"" + version + "\"}'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mute"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		candidates []string
		want, err  string
	}{
		"the first that is recent": {[]string{"none", "old", "new", "next"}, "Terraform 1.10.0", ""},
		"too old":                  {[]string{"old"}, "", "old is Terraform 1.9.8, and the oldest that is used is 1.10"},
		"mute":                     {[]string{"mute"}, "", "mute does not say its version"},
		"none":                     {[]string{"none"}, "", "neither terraform nor tofu is installed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for _, c := range test.candidates {
				paths = append(paths, filepath.Join(dir, c))
			}
			found, err := FindTool(t.Context(), paths, os.Environ())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || found.String() != test.want {
				t.Errorf("found %v, %v", found, err)
			}
		})
	}
}

func TestPlanIsKept(t *testing.T) {
	s := newScene(t)
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	kept, err := s.Plan(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := kept.Summary; got.Create != 2 || got.Update != 4 || got.Replace != 1 || got.Destroy != 2 || len(got.Drift) != 2 {
		t.Errorf("counts %+v", got)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700, "site-a.tfplan": 0o600, "site-a.json": 0o600} {
		info, err := os.Stat(filepath.Join(s.Kept, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v", name, info.Mode().Perm())
		}
	}
	note, err := os.ReadFile(filepath.Join(s.Kept, "site-a.json"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(note, []byte("hunter")) {
		t.Errorf("the note holds a value:\n%s", note)
	}
	environment, err := os.ReadFile(filepath.Join(s.tool, "environment"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TF_CLI_ARGS", "TF_WORKSPACE"} {
		if bytes.Contains(environment, []byte(name)) {
			t.Errorf("the tool sees %s", name)
		}
	}
	if _, err := s.Load(now.Add(time.Hour)); err != nil {
		t.Errorf("the plan does not hold: %v", err)
	}
	if _, err := s.Plan(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if n := s.calls(t, "init"); n != 1 {
		t.Errorf("init was run %d times for a tree that has not changed", n)
	}
}

func TestStale(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	write := func(name string) func(*testing.T, *scene) {
		return func(t *testing.T, s *scene) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(s.Root, name), []byte("# another\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		change func(*testing.T, *scene)
		after  time.Duration
		want   string // empty: it holds
	}{
		"nothing":             {func(*testing.T, *scene) {}, time.Hour, ""},
		"another site":        {write("kubernetes/terraform/envs/site-b/main.tf"), 0, ""},
		"a page":              {write("kubernetes/terraform/modules/site/README.md"), 0, ""},
		"the inventory":       {write("kubernetes/ansible/inventories/site-a/hosts.yml"), 0, "has changed since"},
		"a module":            {write("kubernetes/terraform/modules/site/main.tf"), 0, "has changed since"},
		"a new file":          {write("kubernetes/terraform/envs/site-a/more.tf"), 0, "has changed since"},
		"the tool":            {func(_ *testing.T, s *scene) { s.Tool.Version = "1.13.0" }, 0, "has changed since"},
		"the backend":         {func(_ *testing.T, s *scene) { s.Backend = nil }, 0, "has changed since"},
		"the plan's own file": {write("plans/site-a.tfplan"), 0, "not the one that was made"},
		"a day":               {func(*testing.T, *scene) {}, 25 * time.Hour, "more than 24 hours ago"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			if _, err := s.Plan(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			test.change(t, s)
			kept, err := s.Load(now.Add(test.after))
			if test.want == "" {
				if err != nil || kept == nil {
					t.Errorf("the plan does not hold: %v", err)
				}
				return
			}
			if _, stale := errors.AsType[*StaleError](err); !stale || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestApply(t *testing.T) {
	s := newScene(t)
	now := time.Now()
	kept, err := s.Plan(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Apply(t.Context(), kept)
	if err != nil || done != (Done{Created: 3, Changed: 4, Destroyed: 3}) {
		t.Errorf("done %+v, %v", done, err)
	}
	if kept, err := s.Load(now); kept != nil || err != nil {
		t.Errorf("the plan is still there: %v", err)
	}
}

func TestFailures(t *testing.T) {
	tests := map[string]struct {
		file, record string
		apply        bool
		want         string
	}{
		"locked": {"plan.fails", "held.events", false, "the state of site-a is locked by ops@laptop (apply) since 2026-11-28T12:36:01Z"},
		"stale":  {"apply.fails", "stale.events", true, "the plan of site-a is stale: the state was written since it was made"},
		"a mistake": {"plan.fails", `{"@level":"error","diagnostic":{"severity":"error","summary":"Unsupported argument","detail":"No argument named \"x\".","range":{"filename":"../../modules/site/main.tf","start":{"line":3,"column":5}}},"type":"diagnostic"}
`, false, "site-a: plan: kubernetes/terraform/modules/site/main.tf:3:5: Unsupported argument\n  No argument named \"x\"."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.steer(t, test.file, test.record)
			kept, err := s.Plan(t.Context(), time.Now())
			if test.apply {
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Apply(t.Context(), kept)
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

func TestInitIsRunAgain(t *testing.T) {
	s := newScene(t)
	s.steer(t, "plan.once", `{"diagnostic":{"severity":"error","summary":"Required plugins are not installed"},"type":"diagnostic"}`)
	if _, err := s.Plan(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := s.calls(t, "init"); n != 2 {
		t.Errorf("init was run %d times", n)
	}
}

func TestLock(t *testing.T) {
	s := newScene(t)
	_, err := s.Lock("another")
	if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Who != "a test" {
		t.Errorf("error %v", err)
	}
}

// TestShadow looks for a lock file or a state that the tool would see, and for one that it would change.
func TestShadow(t *testing.T) {
	s := newScene(t)
	hidden := []string{".terraform.lock.hcl", "terraform.tfstate"}
	for _, name := range hidden {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte("# of the registry\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Built = "/mirror"
	if _, err := s.Plan(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if s.folder() == s.Dir {
		t.Fatal("the tool runs in the repository")
	}
	for _, name := range hidden {
		if _, err := os.Stat(filepath.Join(s.folder(), name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the tool sees %s: %v", name, err)
		}
	}
	for _, name := range []string{"main.tf", "../../modules/site/main.tf", "../../../ansible/inventories/site-a/hosts.yml"} {
		if _, err := os.Stat(filepath.Join(s.folder(), name)); err != nil {
			t.Error(err)
		}
	}
}

func TestOutput(t *testing.T) {
	data, err := os.ReadFile("testdata/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	summary, err := Summarise("site-a", data)
	if err != nil {
		t.Fatal(err)
	}
	results := []Result{{Site: "site-a", Summary: summary}, {Site: "site-b", Summary: &Summary{Site: "site-b", Changes: []Change{}, Drift: []Change{}}}, {Site: "site-c", Error: "no plan"}}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"plan.txt":  func(b *bytes.Buffer) error { return Text(b, results, false) },
		"plan.md":   func(b *bytes.Buffer) error { return Markdown(b, results) },
		"plan.json": func(b *bytes.Buffer) error { return JSON(b, results) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), "hunter") {
				t.Error("a value is shown")
			}
			file := filepath.Join("testdata/golden", name)
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", b.Bytes(), want)
			}
		})
	}
}

func TestWhat(t *testing.T) {
	for address, want := range map[string]string{
		`module.site.module.machine["site-a-agent-1"].libvirt_domain.this`: "machine of site-a-agent-1",
		`module.site.libvirt_volume.root["site-a-agent-1"]`:                "volume root of site-a-agent-1",
		`libvirt_network.this[0]`:                                          "network",
		`terraform_data.machine["a.b"]`:                                    "machine of a.b",
		`aws_s3_bucket.states`:                                             "s3 bucket states",
		`odd`:                                                              "odd",
	} {
		if got := What(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestFieldsHideText(t *testing.T) {
	r := resourceChange{}
	r.Change.Before = map[string]any{"memory": 2048.0, "user_data": "password: a", "pin": 1234.0, "same": true}
	r.Change.After = map[string]any{"memory": 4096.0, "user_data": "password: b", "pin": 4321.0, "same": true}
	r.Change.AfterSensitive = map[string]any{"pin": true}
	if got, want := r.fields(), []string{"memory 2048 -> 4096", "pin", "user_data"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
