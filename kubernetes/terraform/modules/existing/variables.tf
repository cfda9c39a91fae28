variable "site" {
  description = "The site, as the module inventory gives it."
  type = object({
    name = string
    nodes = map(object({
      role       = string
      address    = string
      hypervisor = string
    }))
    hypervisors = map(any)
  })

  validation {
    condition     = length(var.site.hypervisors) == 0
    error_message = "The inventory of ${var.site.name} lists hypervisors: machines that exist already have none. Remove them, or call the module site."
  }

  validation {
    condition     = alltrue([for node in values(var.site.nodes) : node.hypervisor == ""])
    error_message = "A node of ${var.site.name} names a hypervisor: machines that exist already have none. Remove it, or call the module site."
  }
}
