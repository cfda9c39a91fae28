variable "site" {
  description = "The site, as the module inventory gives it."
  type = object({
    name = string
    network = object({
      cidr        = string
      prefix      = number
      gateway     = string
      dns_servers = list(string)
    })
    access = object({
      user      = string
      keys      = list(string)
      interface = string
    })
    images = map(object({
      url    = string
      sha256 = string
    }))
    hypervisors = map(object({
      uri      = string
      bridge   = string
      storage  = string
      emulated = bool
      firmware = object({
        code      = string
        variables = string
        nvram     = string
      })
    }))
    nodes = map(object({
      role       = string
      address    = string
      hypervisor = string
      image      = string
      cpus       = number
      memory_mib = number
      disk_gib   = number
    }))
  })
}

variable "hypervisor" {
  description = "Name of the hypervisor that the provider of this call talks to. Its nodes are made, those of others are not."
  type        = string

  validation {
    condition     = contains(keys(var.site.hypervisors), var.hypervisor)
    error_message = "The inventory of ${var.site.name} lists no hypervisor ${var.hypervisor}."
  }
}
