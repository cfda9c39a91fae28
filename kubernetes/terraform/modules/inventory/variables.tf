variable "directory" {
  description = "Directory of the Ansible inventories."
  type        = string
}

variable "site" {
  description = "Name of the site: that of its directory among the inventories."
  type        = string

  validation {
    condition     = fileexists("${var.directory}/${var.site}/hosts.yml")
    error_message = "There is no inventory ${var.site}/hosts.yml: an environment has the name of a site."
  }
}

variable "hypervisors" {
  description = "Names of the hypervisors that the environment calls the module site for. None where the machines exist already."
  type        = set(string)
}
