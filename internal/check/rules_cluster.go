package check

// clusterRules are about the security of nodes, networks, permissions and namespaces.
func clusterRules() []Rule {
	return []Rule{
		bindingClusterAdmin(),
		bindingDangling(),
		bindingDefaultAccount(),
		bindingEverybody(),
		namespacePodRefused(),
		namespacePodSecurity(),
		networkPolicyMissing(),
		roleCreatesPods(),
		roleEntersPods(),
		roleEscalates(),
		roleNodeProxy(),
		roleReadsSecrets(),
		roleWildcard(),
		roleWritesWebhooks(),
	}
}
