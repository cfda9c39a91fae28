package main

import (
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"archipel/internal/kube/kubetest"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var update = flag.Bool("update", false, "write what commands print into the scripts")

// Files of other packages' tests: a fleet of two sites, and the objects of a
// site whose everything is ready.
const (
	fleetFile = "../../internal/fleet/testdata/base.txtar"
	siteFile  = "../../internal/status/testdata/base.yaml"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"archipel": main})
}

// TestScripts runs testdata/script/*.txtar. A script starts in $WORK/repo, a
// fleet of site-a and site-b, with an empty home folder. Besides the standard
// commands it may use:
//
//	exits N archipel ...        runs the program, which must exit with N
//	cluster SITE [FILE...]      starts an API server of a healthy site, changed by
//	                            the objects in the files, with a context in $KUBECONFIG;
//	                            an object with the annotation "new" is added
//	dead SITE                   adds a context to $KUBECONFIG that nothing answers
//
// those of chartCommands
// and the condition [root], which holds for the user who may write anywhere.
func TestScripts(t *testing.T) {
	commands := chartCommands(t)
	maps.Copy(commands, map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits,
		"cluster": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) == 0 {
				ts.Fatalf("usage: cluster SITE [FILE...]")
			}
			server := kubetest.Start(t, healthySite(t, ts, args[1:])...)
			addKubeconfig(ts, server.Kubeconfig(t, args[0]))
		},
		"dead": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) != 1 {
				ts.Fatalf("usage: dead SITE")
			}
			server := kubetest.Start(t)
			addKubeconfig(ts, server.Kubeconfig(t, args[0]))
			server.Stop()
		},
	})
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, errors.New("unknown condition " + name)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: commands,
	})
}

func setUp(env *testscript.Env) error {
	archive, err := txtar.ParseFile(fleetFile)
	if err != nil {
		return err
	}
	env.Cd = filepath.Join(env.WorkDir, "repo")
	for _, file := range archive.Files {
		name := filepath.Join(env.Cd, "kubernetes", "ansible", filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			return err
		}
	}
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	return os.Mkdir(home, 0o755)
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N program ...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// healthySite reads the objects of a site and merges those in files into them.
func healthySite(t *testing.T, ts *testscript.TestScript, files []string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(siteFile)
	ts.Check(err)
	objects := kubetest.Objects(t, data)
	for _, file := range files {
		for _, patch := range kubetest.Objects(t, []byte(ts.ReadFile(file))) {
			at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
				return o.GetKind() == patch.GetKind() && o.GetNamespace() == patch.GetNamespace() && o.GetName() == patch.GetName()
			})
			if at < 0 && patch.GetAnnotations()["new"] != "" {
				objects = append(objects, patch)
				continue
			}
			if at < 0 {
				ts.Fatalf("%s: no %s %s to change", file, patch.GetKind(), patch.GetName())
			}
			kubetest.Merge(objects[at].Object, patch.Object)
		}
	}
	return objects
}

func addKubeconfig(ts *testscript.TestScript, file string) {
	if before := ts.Getenv("KUBECONFIG"); before != "" {
		file = before + string(filepath.ListSeparator) + file
	}
	ts.Setenv("KUBECONFIG", file)
}
