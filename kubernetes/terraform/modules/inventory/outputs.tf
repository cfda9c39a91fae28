output "site" {
  description = "The site: name, network, access, images, hypervisors and nodes."
  value = {
    name        = var.site
    network     = local.network
    access      = local.access
    images      = local.images
    hypervisors = local.hypervisors
    nodes       = local.nodes
  }

  precondition {
    condition     = length(local.problems) == 0
    error_message = "The inventory of ${var.site} does not describe its machines:\n- ${join("\n- ", local.problems)}"
  }
}

output "uris" {
  description = "The libvirt URIs of the hypervisors, by name."
  value       = { for name, hypervisor in local.hypervisors : name => hypervisor.uri }
}
