variable "name" {
  description = "Name of the machine and its host name, as in the inventory."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", var.name)) && length(var.name) <= 63
    error_message = "name is a host name: at most 63 lower-case letters, digits and dashes."
  }
}

variable "pool" {
  description = "Storage pool of the machine's disks."
  type        = string
}

variable "image" {
  description = "What the disk is made from: the image's digest. Another one is a new machine."
  type        = string
}

variable "base_volume_id" {
  description = "Id of the image's volume, which the disk lies upon."
  type        = string
}

variable "network_id" {
  description = "Id of the libvirt network that the machine is attached to, where it is no bridge."
  type        = string
  default     = null
}

variable "bridge" {
  description = "Bridge of the hypervisor that the machine is attached to, where it is no libvirt network."
  type        = string
  default     = null

  validation {
    condition     = var.bridge == null || can(regex("^[A-Za-z0-9_.-]{1,15}$", var.bridge))
    error_message = "bridge is the name of a network interface: at most 15 letters, digits, dots, dashes and underscores."
  }
}

variable "address" {
  description = "IPv4 address. Another one is a new machine."
  type        = string

  validation {
    condition     = can(cidrhost("${var.address}/32", 0)) && !strcontains(var.address, ":")
    error_message = "address is an IPv4 address, for example 198.51.100.11."
  }
}

variable "prefix_length" {
  description = "Length of the network's prefix."
  type        = number

  validation {
    condition     = var.prefix_length >= 8 && var.prefix_length <= 29 && floor(var.prefix_length) == var.prefix_length
    error_message = "prefix_length is 8 to 29."
  }
}

variable "gateway" {
  description = "IPv4 address of the router."
  type        = string

  validation {
    condition     = can(cidrhost("${var.gateway}/32", 0)) && !strcontains(var.gateway, ":")
    error_message = "gateway is an IPv4 address, for example 198.51.100.1."
  }
}

variable "dns_servers" {
  description = "IPv4 addresses of the DNS servers."
  type        = list(string)

  validation {
    condition     = length(var.dns_servers) > 0 && alltrue([for address in var.dns_servers : can(cidrhost("${address}/32", 0))])
    error_message = "dns_servers holds at least one IPv4 address."
  }
}

variable "interface" {
  description = "Name that the network interface is given: the fact node_interface."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,15}$", var.interface))
    error_message = "interface is at most 15 letters, digits, dots, dashes and underscores."
  }
}

variable "cpus" {
  description = "Number of virtual CPUs."
  type        = number
  default     = 2

  validation {
    condition     = var.cpus >= 1 && floor(var.cpus) == var.cpus
    error_message = "cpus is 1 or more."
  }
}

variable "memory_mib" {
  description = "Memory in MiB."
  type        = number
  default     = 4096

  validation {
    condition     = var.memory_mib >= 128 && floor(var.memory_mib) == var.memory_mib
    error_message = "memory_mib is 128 or more."
  }
}

variable "disk_gib" {
  description = "Size of the disk in GiB, no less than that of the image."
  type        = number
  default     = 40

  validation {
    condition     = var.disk_gib >= 1 && floor(var.disk_gib) == var.disk_gib
    error_message = "disk_gib is 1 or more."
  }
}

variable "user" {
  description = "User that Ansible connects as, with sudo. Another one is a new machine."
  type        = string

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.user)) && var.user != "root"
    error_message = "user is the name of a user other than root: at most 32 lower-case letters, digits, dashes and underscores."
  }
}

variable "ssh_authorized_keys" {
  description = "Public SSH keys that may log in as the user."
  type        = list(string)

  validation {
    condition     = length(var.ssh_authorized_keys) > 0 && alltrue([for key in var.ssh_authorized_keys : can(regex("^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$", key))])
    error_message = "ssh_authorized_keys holds at least one line of a .pub file."
  }
}

variable "emulated" {
  description = "Whether QEMU emulates the CPU, where there is no KVM. Slow."
  type        = bool
  default     = false
}

variable "firmware" {
  description = "UEFI firmware on the hypervisor: its code, the template of its variables, and the directory that keeps each machine's own. The defaults are those of Ubuntu and Debian."
  type = object({
    code      = optional(string, "/usr/share/OVMF/OVMF_CODE_4M.fd")
    variables = optional(string, "/usr/share/OVMF/OVMF_VARS_4M.fd")
    nvram     = optional(string, "/var/lib/libvirt/qemu/nvram")
  })
  default = {}
}

variable "cache" {
  description = "Directory of this machine that seeds are made in."
  type        = string
  default     = "~/.cache/archipel/seeds"
}
