package check

// clusterRules are about the security of nodes, networks, permissions and namespaces.
func clusterRules() []Rule {
	return []Rule{}
}
