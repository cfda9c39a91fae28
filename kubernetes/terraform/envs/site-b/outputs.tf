output "nodes" {
  description = "The nodes of the site, by name: role, address, hypervisor and MAC address."
  value       = module.site.nodes
}
