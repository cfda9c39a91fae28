variable "name" {
  description = "Name of the libvirt network."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", var.name)) && length(var.name) <= 63
    error_message = "name is at most 63 lower-case letters, digits and dashes, as the name of a site is."
  }
}

variable "cidr" {
  description = "IPv4 network of the nodes. Its first address is the hypervisor's."
  type        = string

  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0] && tonumber(split("/", var.cidr)[1]) <= 29, false)
    error_message = "cidr is an IPv4 network of length 29 or less without host bits, for example 198.51.100.0/24."
  }
}
