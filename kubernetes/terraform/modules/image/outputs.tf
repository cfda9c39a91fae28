output "pool" {
  description = "Name of the storage pool."
  value       = libvirt_pool.this.name
}

output "volumes" {
  description = "Ids of the images' volumes, by the name of the image."
  value       = { for name, volume in libvirt_volume.base : name => volume.id }
}
