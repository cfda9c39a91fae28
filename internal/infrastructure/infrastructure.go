// Package infrastructure holds the tests of kubernetes/terraform: its modules with Terraform and OpenTofu, machines on a real libvirt, and states in a store.
package infrastructure
