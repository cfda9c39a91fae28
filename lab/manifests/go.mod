module archipel/lab/manifests

go 1.26.0

require (
	github.com/cilium/cilium v1.20.2
	go.universe.tf/metallb v0.16.2
)
