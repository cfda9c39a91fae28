package check

// ciliumRules are those of the group network that look at the values of one Cilium.
func ciliumRules() []Rule {
	return []Rule{
		ciliumAnnouncesAddresses(),
		ciliumAPIServerUnset(),
		ciliumCaGenerated(),
		ciliumCertificatesHelm(),
		ciliumDirectRoutesOff(),
		ciliumEncryptionOff(),
		ciliumHealthPortUnset(),
		ciliumIdentityDiffers(),
		ciliumIPAMPool(),
		ciliumKubeProxyPartial(),
		ciliumMeshServiceLocal(),
		ciliumMeshSizeDiffers(),
		ciliumNativeCIDRDiffers(),
		ciliumOperatorReplicas(),
		ciliumPolicyScopeImplicit(),
		ciliumRoutingTunnelled(),
	}
}

// fluxRules are the rules of the group flux, by id.
func fluxRules() []Rule {
	return []Rule{
		baseRemote(),
		chartDigestMismatch(),
		chartMissing(),
		chartTemplateFailed(),
		chartUnreadable(),
		chartVersionFloating(),
		chartVersionMismatch(),
		crdSameKustomization(),
		decryptionKeyName(),
		dependencyCycle(),
		dependencyNamespace(),
		dependencyUnknown(),
		fluxVersionRemoved(),
		healthCheckUnknown(),
		helmReleaseInvalid(),
		imageTagFloating(),
		kustomizationFieldUnknown(),
		kustomizationInvalid(),
		kustomizationPathMissing(),
		kustomizationRetrySlow(),
		kustomizationRootDeletes(),
		kustomizationTimeoutShort(),
		kustomizationWaitMissing(),
		kustomizeBuildFailed(),
		metallbBGPRunning(),
		metallbInterfacesUnset(),
		metallbSpeakerSilent(),
		namespaceMissing(),
		networkLayerDeleted(),
		networkLayerPrunable(),
		networkLayerPruned(),
		networkLayerReleaseDiffers(),
		networkLayerRemediated(),
		networkLayerTimeout(),
		objectDuplicate(),
		postrendererFailed(),
		reconcileIntervalLong(),
		reconcileIntervalShort(),
		reconcileSuspended(),
		releaseNameDuplicate(),
		releaseOwnedTwice(),
		releaseStorageDiffers(),
		resourceMissing(),
		sourceBranchFloating(),
		sourceInsecure(),
		sourceInvalid(),
		sourceMissing(),
		sourceTagFloating(),
		sourceUnreadable(),
		sourceUnused(),
		substitutionFailed(),
		substitutionSourceMissing(),
		valuesInvalid(),
		valuesSourceMissing(),
		variableUnresolved(),
		variableUnused(),
	}
}

// kubernetesRules are the rules of the group kubernetes, by id.
func kubernetesRules() []Rule {
	return []Rule{
		apiVersionRemoved(),
		apiVersionUnserved(),
		chartValuesInvalid(),
		crdInvalid(),
		metallbAddressInvalid(),
		metallbAggregationInvalid(),
		metallbListDuplicate(),
		metallbPeerInvalid(),
		metallbPoolOverlap(),
		metallbPoolSilent(),
		metallbPoolUnknown(),
		objectFieldMissing(),
		objectFieldUnknown(),
		objectItemDuplicate(),
		objectKindUnknown(),
		objectRuleViolated(),
		objectTypeWrong(),
		objectValueInvalid(),
		serviceAddressDuplicate(),
		serviceAddressUnpooled(),
		servicePoolUnknown(),
		servicePortUnknown(),
		serviceSelectorDangling(),
		volumeUnknown(),
	}
}

// terraformRules are the rules of the group terraform, by id.
func terraformRules() []Rule {
	return []Rule{
		hypervisorUnknown(),
		terraformBackendDuplicate(),
		terraformBackendMissing(),
		terraformFormat(),
		terraformInputMissing(),
		terraformInputUnknown(),
		terraformModuleFloating(),
		terraformModuleMissing(),
		terraformProviderHostless(),
		terraformProviderUnpinned(),
		terraformStateCredentials(),
		terraformStateInsecure(),
		terraformStateUnlocked(),
		terraformSyntax(),
		terraformVariableUndeclared(),
	}
}

// ansibleRules are the rules of the group ansible, by id.
func ansibleRules() []Rule {
	return []Rule{
		ansibleArgumentInvalid(),
		ansibleArgumentMissing(),
		ansibleArgumentUnknown(),
		ansibleFileMissing(),
		ansibleHandlerUnknown(),
		ansibleLint(),
		ansiblePlaybookInvalid(),
		ansibleRoleUnknown(),
		ansibleTaskInvalid(),
	}
}

// secretsRules are the rules of the group secrets, by id.
func secretsRules() []Rule {
	return []Rule{
		decryptionFailed(),
		decryptionMissing(),
		secretAltered(),
		secretDetected(),
		secretPlaintext(),
		secretPrivateKey(),
		secretToken(),
		secretUnchecked(),
		sopsMetadataEncrypted(),
		sopsRecipientsDiffer(),
		sopsRegexPartial(),
		sopsRuleMissing(),
		sopsUnencrypted(),
		sopsValuePlaintext(),
	}
}
