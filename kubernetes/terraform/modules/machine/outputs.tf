output "id" {
  description = "Id of the libvirt domain."
  value       = libvirt_domain.this.id
}

output "address" {
  description = "IPv4 address."
  value       = var.address
}

output "mac" {
  description = "MAC address of the network interface."
  value       = local.mac
}
