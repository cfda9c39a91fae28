package lab

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"archipel/internal/fleet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// lockVariable makes the test binary lock the lab of that folder and wait.
const lockVariable = "LAB_TEST_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockVariable); dir != "" {
		if _, err := New(Config{StateHome: dir, Name: "test"}).lock(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// now is the clock of the tests. Certificates are checked against the real one.
func now() time.Time { return time.Now() }

// newLab returns a lab of an empty checkout, with folders of its own.
func newLab(t *testing.T) *Lab {
	t.Helper()
	home := t.TempDir()
	// Without this the go command leaves a child behind, which still writes here when the test is over.
	write(t, home, ".config/go/telemetry/mode", "off")
	l := New(Config{
		Repository: t.TempDir(), StateHome: filepath.Join(home, "state"), CacheHome: filepath.Join(home, "cache"),
		Name: "test", Now: now,
		Environment: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home},
	})
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return l
}

// testSite is a site with one server and one agent.
func testSite(name string, id int) *fleet.Site {
	return &fleet.Site{
		Name: name,
		Facts: fleet.Facts{
			GitURL: "https://git.example.org/team/fleet.git", GitBranch: "main", K3sVersion: "v1.36.4+k3s1",
			FluxVersion: "v2.9.5", CiliumVersion: "1.20.2", MetalLBVersion: "0.16.2",
			NativeRoutingCIDR: netip.MustParsePrefix("10.64.0.0/10"), NodeInterface: "enp1s0", MeshMaxClusters: 511,
			ClusterID: id, NodeCIDR: netip.MustParsePrefix("198.51.100.0/24"),
			PodCIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + id), 0, 0}), 16), ServiceCIDR: netip.MustParsePrefix("10.128.0.0/16"),
			MeshAPIAddress: netip.MustParseAddr("198.51.100.200"),
		},
		Nodes: []fleet.Node{
			{Name: name + "-server-1", Role: fleet.RoleServer, Address: netip.MustParseAddr("198.51.100.11")},
			{Name: name + "-agent-1", Role: fleet.RoleAgent, Address: netip.MustParseAddr("198.51.100.21")},
		},
	}
}

func testFleet(names ...string) *fleet.Fleet {
	f := &fleet.Fleet{}
	for i, name := range names {
		f.Sites = append(f.Sites, testSite(name, i+1))
	}
	return f
}

// write writes a file and the folders above it.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
