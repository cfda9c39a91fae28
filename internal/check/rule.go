// Package check holds the rules that a repository is held to, one file each, and the engine that runs them.
package check

import (
	"io/fs"

	"archipel/internal/finding"
	"archipel/internal/fleet"
	"archipel/internal/policy"
	"archipel/internal/render"
	"archipel/internal/schema"
	"archipel/internal/source"
)

// Group is what a rule is about.
type Group string

// The groups, in the order in which the reference shows them.
const (
	YAML       Group = "yaml"
	Layout     Group = "layout"
	Inventory  Group = "inventory"
	Network    Group = "network"
	Flux       Group = "flux"
	Kubernetes Group = "kubernetes"
	Terraform  Group = "terraform"
	Ansible    Group = "ansible"
	Secrets    Group = "secrets"
	Policy     Group = "policy"
	Workloads  Group = "workloads" // security of pods
	Cluster    Group = "cluster"   // security of nodes, networks, permissions and namespaces
	Supply     Group = "supply"    // where what runs comes from
)

// Rule is one thing that is held true. A rule has one of the three functions, or Site and
// Fleet together: then Site gathers what Fleet compares. It has none when another package
// finds the problem while it reads or renders (source, fleet, policy, render), and the rule
// documents it. Rules are made anew for every run, so that their functions may share state.
type Rule struct {
	ID       string // noun-problem; never changes
	Group    Group
	Severity finding.Severity // of its findings, unless they or the policy say otherwise
	Summary  string           // what it finds: one sentence
	Reason   string           // why that is a problem, with the source of the rule: one paragraph
	// Bad and Good are txtar archives of files laid over a small valid fleet
	// (testdata/base). Bad gives at least one finding of this rule, Good none. An empty
	// file removes the one below it. Both stand in the reference and are run by a test.
	Bad, Good string
	// Security rules are those of archipel security. Those of the groups Workloads, Cluster
	// and Supply are of no other command.
	Security bool
	// Covers are the checks of other programs that look for the same, as findings of theirs
	// name them: "kube-linter privileged-container", "trivy KSV-0017".
	Covers []string
	// Firm rules cannot be ignored or lowered: where they find something, the rest could
	// not be looked at.
	Firm bool

	// The engine fills in Rule, Severity when it is zero, and for Site the Sites of what they return.
	File  func(*File) []finding.Finding  // called for each YAML file that can be read, concurrently
	Site  func(*Site) []finding.Finding  // called for each site, concurrently
	Fleet func(*Fleet) []finding.Finding // called once, after all File and Site
}

// Fleet is what all rules may look at. It is safe for concurrent use.
type Fleet struct {
	FS     fs.FS
	Files  []string // all regular files and symbolic links under kubernetes/, sorted; not those in folders whose name begins with a dot
	Dirs   []string // all directories under kubernetes/, sorted
	Fleet  *fleet.Fleet
	Sites  []*fleet.Site // those of Fleet that are looked at, sorted
	Policy *policy.Policy
	// Schemas checks the values of charts; what a site's API server knows is in Site.
	Schemas *schema.Store

	shared *shared
}

// Site is one site, rendered.
type Site struct {
	*Fleet
	Site           *fleet.Site
	Render         *render.Result
	Schema         *schema.Set      // of the site's Kubernetes version and of the definitions that the site installs
	SchemaProblems []schema.Problem // of those definitions

	made []*workload // see workloads
}

// File is one YAML file as written.
type File struct {
	*Fleet
	*source.YAML
	Data []byte
}
