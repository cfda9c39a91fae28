resource "libvirt_network" "this" {
  name      = var.name
  mode      = "nat"
  addresses = [var.cidr]
  autostart = true

  # The kernel takes at most 15 characters.
  bridge = "br-${substr(sha1(var.name), 0, 8)}"

  # Nodes have static addresses. A lease would give a second one, and a difference in every plan.
  dhcp {
    enabled = false
  }

  dns {
    enabled = true
  }
}
