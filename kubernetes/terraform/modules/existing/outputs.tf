output "nodes" {
  description = "The nodes, by name: role and address."
  value       = { for name, node in var.site.nodes : name => { role = node.role, address = node.address } }
}
