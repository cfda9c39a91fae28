# The name of the site is that of this directory, and everything else is in its inventory.
module "inventory" {
  source = "../../modules/inventory"

  directory   = "${path.module}/../../../ansible/inventories"
  site        = basename(abspath(path.module))
  hypervisors = ["kvm-1"]
}

provider "libvirt" {
  uri = module.inventory.uris["kvm-1"]
}

module "site" {
  source = "../../modules/site"

  site       = module.inventory.site
  hypervisor = "kvm-1"
}
