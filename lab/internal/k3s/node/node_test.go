package node

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLabels(t *testing.T) {
	got, err := Labels([]string{"a=b", "example.com/c=", "topology.kubernetes.io/zone=site-a", "node.kubernetes.io/x=y"})
	want := map[string]string{"a": "b", "example.com/c": "", "topology.kubernetes.io/zone": "site-a", "node.kubernetes.io/x": "y"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, label := range []string{"a", "=b", "node-role.kubernetes.io/worker=true", "kubernetes.io/x=y", "x.k8s.io/y=z"} {
		if _, err := Labels([]string{label}); err == nil {
			t.Errorf("%s is accepted", label)
		}
	}
}

func TestTaints(t *testing.T) {
	got, err := Taints([]string{"a=b:NoSchedule", "c:NoExecute"})
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, taint := range []string{"a", "a=b", "a=b:Never", ":NoSchedule"} {
		if _, err := Taints([]string{taint}); err == nil {
			t.Errorf("%s is accepted", taint)
		}
	}
}

func TestCheckKernel(t *testing.T) {
	proc := fstest.MapFS{}
	for name, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		proc["sys/"+name] = &fstest.MapFile{Data: []byte(value + "\n")}
	}
	if err := CheckKernel(proc); err != nil {
		t.Error(err)
	}
	proc["sys/kernel/panic"].Data = []byte("0\n")
	proc["sys/vm/overcommit_memory"].Data = []byte("0\n")
	err := CheckKernel(proc)
	if err == nil || !strings.Contains(err.Error(), "kernel.panic is 0, not 10; vm.overcommit_memory is 0, not 1") {
		t.Errorf("got %v", err)
	}
	delete(proc, "sys/vm/panic_on_oom")
	if err := CheckKernel(proc); err == nil {
		t.Error("a tunable that cannot be read is good")
	}
}

func TestAddresses(t *testing.T) {
	if got, err := Addresses([]string{"192.0.2.1"}); err != nil || got[0] != "192.0.2.1" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Addresses([]string{"host-a"}); err == nil {
		t.Error("a name is accepted")
	}
}

func TestPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node", "password")
	first, err := Password(file)
	if err != nil || first == "" {
		t.Fatalf("got %q, %v", first, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := Password(file); err != nil || again != first {
		t.Errorf("got %q, %v", again, err)
	}
}
