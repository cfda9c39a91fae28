locals {
  own    = var.site.hypervisors[var.hypervisor]
  nodes  = { for name, node in var.site.nodes : name => node if node.hypervisor == var.hypervisor }
  images = toset([for node in values(local.nodes) : node.image])
}

module "network" {
  source = "../network"
  count  = local.own.bridge == null ? 1 : 0

  name = var.site.name
  cidr = var.site.network.cidr
}

module "image" {
  source = "../image"

  pool   = var.site.name
  path   = "${local.own.storage}/${var.site.name}"
  images = { for name in local.images : name => var.site.images[name] }
}

module "machine" {
  source   = "../machine"
  for_each = local.nodes

  name                = each.key
  pool                = module.image.pool
  image               = "${each.value.image} ${var.site.images[each.value.image].sha256}"
  base_volume_id      = module.image.volumes[each.value.image]
  network_id          = one(module.network[*].id)
  bridge              = local.own.bridge
  address             = each.value.address
  prefix_length       = var.site.network.prefix
  gateway             = var.site.network.gateway
  dns_servers         = var.site.network.dns_servers
  interface           = var.site.access.interface
  user                = var.site.access.user
  ssh_authorized_keys = var.site.access.keys
  cpus                = each.value.cpus
  memory_mib          = each.value.memory_mib
  disk_gib            = each.value.disk_gib
  emulated            = local.own.emulated
  firmware            = { for name, path in local.own.firmware : name => path if path != null }
}
