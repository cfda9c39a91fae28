output "id" {
  description = "Id of the libvirt network, which machines are attached to."
  value       = libvirt_network.this.id
}
