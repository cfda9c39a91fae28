variable "pool" {
  description = "Name of the storage pool that holds the images and the disks of the machines."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", var.pool))
    error_message = "pool is made of lower-case letters, digits and dashes, as the name of a site is."
  }
}

variable "path" {
  description = "Directory of the pool on the hypervisor."
  type        = string

  validation {
    condition     = can(regex("^/[^/]", var.path))
    error_message = "path is absolute, and not the root directory."
  }
}

variable "images" {
  description = "Images of disks in qcow2 format, by name: where each is downloaded, and its SHA-256."
  type = map(object({
    url    = string
    sha256 = string
  }))

  validation {
    condition     = alltrue([for name in keys(var.images) : can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", name))])
    error_message = "The name of an image is made of lower-case letters, digits, dots and dashes."
  }

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^(https?|file)://.", image.url))])
    error_message = "The url of an image begins with https://, http:// or file://."
  }

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^[0-9a-f]{64}$", image.sha256))])
    error_message = "The sha256 of an image is 64 hexadecimal digits in lower case."
  }
}

variable "cache" {
  description = "Directory of this machine that downloaded images are kept in."
  type        = string
  default     = "~/.cache/archipel/images"
}
