locals {
  files = { for name, image in var.images : name => "${pathexpand(var.cache)}/${image.sha256}.img" }
}

resource "libvirt_pool" "this" {
  name = var.pool
  type = "dir"

  target {
    path = var.path
  }
}

# libvirt's provider downloads, but does not compare digests.
resource "terraform_data" "download" {
  for_each = var.images

  triggers_replace = [each.value.sha256]

  provisioner "local-exec" {
    command = "sh ${path.module}/fetch.sh"
    environment = {
      URL    = each.value.url
      SHA256 = each.value.sha256
      FILE   = local.files[each.key]
    }
  }
}

resource "libvirt_volume" "base" {
  for_each = var.images

  # Another image is another volume: disks that lie upon this one read it for as long as they live.
  name   = "${each.key}-${substr(each.value.sha256, 0, 12)}.qcow2"
  pool   = libvirt_pool.this.name
  source = local.files[each.key]
  format = "qcow2"

  depends_on = [terraform_data.download]

  lifecycle {
    # The path is that of whoever applied. Another one must not replace the volume, and with it
    # all machines.
    ignore_changes = [source]
  }
}
