package check

import (
	"cmp"
	"slices"
)

// All returns the rules of archipel lint, made anew, by group in the order of the groups
// and by id within.
func All() []Rule {
	return ordered(
		yamlRules(), layoutRules(), inventoryRules(), slices.Concat(networkRules(), ciliumRules()),
		fluxRules(), kubernetesRules(), terraformRules(), ansibleRules(), secretsRules(), policyRules(),
	)
}

// Security returns the rules of archipel security, in the same order: its own, and those of
// lint that are about security or without which nothing could be looked at.
func Security() []Rule {
	return append(slices.DeleteFunc(All(), func(r Rule) bool { return !r.Security && !r.Firm && r.Group != Secrets && r.Group != Policy }),
		ownSecurityRules()...)
}

// ownSecurityRules are those of archipel security alone.
func ownSecurityRules() []Rule {
	return ordered(workloadRules(), clusterRules(), supplyRules(), baselineRules())
}

// every returns the rules of all commands.
func every() []Rule { return append(All(), ownSecurityRules()...) }

func ordered(groups ...[]Rule) []Rule {
	var all []Rule
	for _, group := range groups {
		slices.SortFunc(group, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
		all = append(all, group...)
	}
	return all
}

// yamlRules are about how files are written.
func yamlRules() []Rule {
	return []Rule{
		fileUnreadable(),
		yamlAnchorUnused(),
		yamlBoolAmbiguous(),
		yamlByteOrderMark(),
		yamlDocumentEmpty(),
		yamlDuplicateKey(),
		yamlExtensionMixed(),
		yamlFinalNewline(),
		yamlLineEnding(),
		yamlMergeKey(),
		yamlNumberAmbiguous(),
		yamlOctalAmbiguous(),
		yamlSeparatorOdd(),
		yamlSyntax(),
		yamlTab(),
		yamlTimeAmbiguous(),
		yamlTooLarge(),
		yamlTrailingSpace(),
		yamlVersionNumber(),
	}
}

// layoutRules are about where files stand.
func layoutRules() []Rule {
	return []Rule{
		fileExecutable(),
		fileLeftover(),
		fileNameCase(),
		linkOutside(),
		linkUnpacked(),
		meshPeersStale(),
		siteClusterMissing(),
		siteFileStale(),
		siteInventoryMissing(),
		siteTerraformMissing(),
		strayFile(),
		strayFolder(),
	}
}

// inventoryRules are about the inventories of single sites; package fleet finds the problems.
func inventoryRules() []Rule {
	return []Rule{
		factDiffers(),
		factDynamic(),
		factInvalid(),
		factMissing(),
		factNotation(),
		factOverridden(),
		factType(),
		factUnknown(),
		gatewayNoNode(),
		gitURLCredentials(),
		gitURLInvalid(),
		groupCycle(),
		hostNameAmbiguous(),
		hostRangeInvalid(),
		hostUngrouped(),
		interconnectUnknown(),
		inventoryIgnored(),
		inventoryInvalid(),
		inventoryUnsupported(),
		nodeAddressInvalid(),
		nodeAddressMissing(),
		nodeNameInvalid(),
		nodeRoleAmbiguous(),
		serversEven(),
		serversMissing(),
		siteNameInvalid(),
		sitesMissing(),
		varsUnused(),
		versionInexact(),
		wireGuardEndpointInvalid(),
		yamlUnsupported(),
	}
}

// networkRules are about addresses, and about what sites must have in common.
func networkRules() []Rule {
	return []Rule{
		cidrHostBits(),
		cidrOverlap(),
		cidrReserved(),
		ciliumKubernetesUnsupported(),
		ciliumVersionsApart(),
		clusterDNSOutside(),
		clusterIDDuplicate(),
		clusterIDRange(),
		fluxKubernetesUnsupported(),
		fluxVersionsApart(),
		gitSourceDiffers(),
		interconnectDiffers(),
		k3sVersionsApart(),
		loadBalancerRangeEdge(),
		loadBalancerRangeEmpty(),
		loadBalancerRangeOutside(),
		loadBalancerRangeOverlap(),
		loadBalancerRangeReversed(),
		meshAPIAddressDuplicate(),
		meshAPIAddressOutside(),
		meshAPIAddressTaken(),
		meshDatapathDiffers(),
		meshEncryptionDiffers(),
		meshFactDiffers(),
		meshFull(),
		meshMTUDiffers(),
		meshPeerOneSided(),
		mtuTooLarge(),
		nativeRoutingCIDRWide(),
		nodeAddressDuplicate(),
		nodeAddressEdge(),
		nodeAddressOutside(),
		nodeAddressPooled(),
		nodeCIDRWrong(),
		nodeNameDuplicate(),
		podCIDRSmall(),
		podCIDRUnrouted(),
		serviceCIDRSmall(),
	}
}

// policyRules are about archipel.yaml and archipel.lock.
func policyRules() []Rule {
	return []Rule{
		ignoreReasonMissing(),
		ignoreUnused(),
		lockInvalid(),
		mirrorInvalid(),
		policyKeyUnknown(),
		policyRuleFirm(),
		policyRuleUnknown(),
		policyValueInvalid(),
	}
}

// baselineRules are about archipel.baseline.yaml.
func baselineRules() []Rule {
	return []Rule{
		baselineExpired(),
		baselineInvalid(),
		baselineUnused(),
	}
}
