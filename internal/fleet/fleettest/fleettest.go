// Package fleettest makes fleets of any size for tests and benchmarks.
package fleettest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"archipel/internal/derive"
	"archipel/internal/fleet"
)

// MaxSites is how many sites Generate can make: the most that a mesh of 255 holds.
const MaxSites = 255

// Generate writes into dir a fleet of n sites, site-001 to site-n, that run what site-a of
// the checkout runs: its apps and its shared facts, with networks of their own.
func Generate(dir, checkout string, n int) error {
	if n < 1 || n > MaxSites {
		return fmt.Errorf("generating a fleet: %d sites, want 1 to %d", n, MaxSites)
	}
	for _, part := range []string{"flux/apps", "flux/base", "ansible/inventories/fleet.yml"} {
		if err := copyTree(filepath.Join(dir, "kubernetes", part), filepath.Join(checkout, "kubernetes", part)); err != nil {
			return fmt.Errorf("generating a fleet: %w", err)
		}
	}
	list, err := os.ReadFile(filepath.Join(checkout, "kubernetes/flux/clusters/site-a/kustomization.yaml"))
	if err != nil {
		return fmt.Errorf("generating a fleet: %w", err)
	}
	for i := range n {
		name := fmt.Sprintf("site-%03d", i+1)
		inventory := filepath.Join(dir, "kubernetes/ansible/inventories", name)
		cluster := filepath.Join(dir, "kubernetes/flux/clusters", name)
		for file, content := range map[string]string{
			filepath.Join(inventory, "hosts.yml"):               hosts(name, i),
			filepath.Join(inventory, "group_vars/all/main.yml"): facts(i),
			filepath.Join(cluster, "kustomization.yaml"):        string(list),
			filepath.Join(cluster, "secrets/README.md"):         "Encrypted files of this site.\n",
		} {
			if err := write(file, []byte(content)); err != nil {
				return fmt.Errorf("generating a fleet: %w", err)
			}
		}
	}
	return derived(dir)
}

// derived writes what follows from the inventories.
func derived(dir string) error {
	f, findings := fleet.Load(os.DirFS(dir))
	if len(findings) > 0 {
		return fmt.Errorf("generating a fleet: %v", findings[0])
	}
	for _, site := range f.Sites {
		file, err := derive.Site(f, site)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, file.Path), file.Content); err != nil {
			return fmt.Errorf("generating a fleet: %w", err)
		}
	}
	return nil
}

// Networks: nodes have a /24 of 172.16.0.0/12, pods a /18 of 10.64.0.0/10 and services a
// /18 of 10.128.0.0/10.
func facts(i int) string {
	third := i % 4 * 64
	return fmt.Sprintf(`cluster_id: %d
node_cidr: 172.16.%d.0/24
pod_cidr: 10.%d.%d.0/18
service_cidr: 10.%d.%d.0/18
load_balancer_ranges:
  - 172.16.%d.200-172.16.%d.239
mesh_api_address: 172.16.%d.200
`, i+1, i, 64+i/4, third, 128+i/4, third, i, i, i)
}

func hosts(name string, i int) string {
	return fmt.Sprintf(`all:
  children:
    servers:
      hosts:
        %s-server-1:
          ansible_host: 172.16.%d.11
    agents:
      hosts:
        %s-agent-1:
          ansible_host: 172.16.%d.21
        %s-agent-2:
          ansible_host: 172.16.%d.22
`, name, i, name, i, name, i)
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		return write(filepath.Join(to, rest), data)
	})
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
