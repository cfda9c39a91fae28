package secret

import (
	"path"
	"regexp"
	"strings"
)

// Where the secrets of a site stand, from the repository's root.
const (
	clusters    = "kubernetes/flux/clusters"
	inventories = "kubernetes/ansible/inventories"
)

// The Secrets that each site has in Git, by the name of their file.
const (
	meshCA     = "cilium-ca"
	gitSecret  = "flux-system"
	sealedYAML = ".sops.yaml"
)

// FluxFile is the file of a Secret that Flux applies at a site.
func FluxFile(site, name string) string {
	return path.Join(clusters, site, "secrets", name+sealedYAML)
}

// GitFile is how Flux reads the repository at a site.
func GitFile(site string) string { return FluxFile(site, gitSecret) }

// AnsibleFile holds the variables of a site that nobody else may read.
func AnsibleFile(site string) string {
	return path.Join(inventories, site, "group_vars/all/secrets.sops.yml")
}

// PublicFile holds the public halves of a site's keys, for its peers.
func PublicFile(site string) string {
	return path.Join(inventories, site, "group_vars/all/keys.yml")
}

// The variables in AnsibleFile. Those that end in _previous hold the value that
// a rotation replaces until the site has switched.
const (
	varServerToken = "k3s_server_token"
	varAgentToken  = "k3s_agent_token"
	varIdentities  = "sops_age_identities"    // the newest first; more than one during a rotation
	varWireGuard   = "wireguard_private_keys" // by node
	varWGPublic    = "wireguard_public_keys"  // by node, in PublicFile
	varDeployKey   = "flux_deploy_key"        // the public half, in PublicFile
	varMeshCA      = "mesh_ca_sha256"         // fingerprint of the certificate, in PublicFile
	suffixPrevious = "_previous"
)

// knownVariables are all that archipel keeps in AnsibleFile.
func knownVariables() []string {
	return []string{varServerToken, varAgentToken, varIdentities, varWireGuard, varServerToken + suffixPrevious, varAgentToken + suffixPrevious}
}

// patterns of the two rules of a site. The site's own key opens what Flux
// decrypts there, and not the variables: they hold the site's next key while the
// old one is replaced, which whoever has stolen the old one must not read.
func fluxPattern(site string) string {
	return "^" + clusters + "/" + regexp.QuoteMeta(site) + `/.*\.sops\.ya?ml$`
}

func ansiblePattern(site string) string {
	return "^" + inventories + "/" + regexp.QuoteMeta(site) + `/.*\.sops\.(ya?ml|json)$`
}

// SiteOf returns the site that a file belongs to by its path, "" for none.
func SiteOf(name string) string {
	for _, parent := range []string{clusters, inventories} {
		if rest, ok := strings.CutPrefix(name, parent+"/"); ok {
			if site, _, below := strings.Cut(rest, "/"); below {
				return site
			}
		}
	}
	return ""
}
