locals {
  # What cannot change on a machine that lives. It is in the names of its disks, so that a change
  # is a new machine, and the plan says so.
  identity = substr(sha1(jsonencode([var.address, var.prefix_length, var.interface, var.user, var.image])), 0, 8)

  # The same for as long as the name is: 52:54:00 is the prefix of QEMU.
  mac = join(":", concat(["52", "54", "00"], [for i in range(3) : upper(substr(sha1(var.name), i * 2, 2))]))

  user_data = {
    hostname         = var.name
    manage_etc_hosts = true
    ssh_pwauth       = false
    disable_root     = true
    users = [{
      name                = var.user
      groups              = ["sudo"]
      shell               = "/bin/bash"
      sudo                = "ALL=(ALL) NOPASSWD:ALL"
      lock_passwd         = true
      ssh_authorized_keys = var.ssh_authorized_keys
    }]
  }

  network_config = {
    version = 2
    ethernets = {
      (var.interface) = {
        match       = { macaddress = lower(local.mac) }
        set-name    = var.interface
        dhcp4       = false
        addresses   = ["${var.address}/${var.prefix_length}"]
        routes      = [{ to = "default", via = var.gateway }]
        nameservers = { addresses = var.dns_servers }
      }
    }
  }
}

resource "libvirt_volume" "root" {
  name           = "${var.name}-${local.identity}.qcow2"
  pool           = var.pool
  base_volume_id = var.base_volume_id
  size           = var.disk_gib * 1024 * 1024 * 1024
  format         = "qcow2"

  lifecycle {
    # It is made anew, under the same name, when somebody has deleted it: no reason to replace
    # the disks that lie upon it.
    ignore_changes = [base_volume_id]
  }
}

# The provider's own libvirt_cloudinit_disk reads the seed back in every plan, and its client of
# libvirt can hang while it does.
resource "terraform_data" "seed" {
  triggers_replace = [local.identity]

  input = {
    file           = "${pathexpand(var.cache)}/${var.name}-${local.identity}.iso"
    meta_data      = yamlencode({ instance-id = "${var.name}-${local.identity}", local-hostname = var.name })
    user_data      = "#cloud-config\n${yamlencode(local.user_data)}"
    network_config = yamlencode(local.network_config)
  }

  provisioner "local-exec" {
    command = "sh ${path.module}/seed.sh"
    environment = {
      FILE           = self.input.file
      META_DATA      = self.input.meta_data
      USER_DATA      = self.input.user_data
      NETWORK_CONFIG = self.input.network_config
    }
  }

  lifecycle {
    # cloud-init reads it at the first start only. Keys are changed on machines that live, by
    # Ansible.
    ignore_changes = [input]
  }
}

resource "libvirt_volume" "seed" {
  name   = "${var.name}-${local.identity}.iso"
  pool   = var.pool
  source = "${pathexpand(var.cache)}/${var.name}-${local.identity}.iso"

  depends_on = [terraform_data.seed]

  lifecycle {
    # The path is that of whoever applied.
    ignore_changes = [source]
  }
}

resource "libvirt_domain" "this" {
  name      = var.name
  type      = var.emulated ? "qemu" : "kvm"
  vcpu      = var.cpus
  memory    = var.memory_mib
  running   = true
  autostart = true
  cloudinit = "${libvirt_volume.seed.id};${local.identity}"
  firmware  = var.firmware.code

  nvram {
    file     = "${var.firmware.nvram}/${var.name}_VARS.fd"
    template = var.firmware.variables
  }

  cpu {
    mode = var.emulated ? null : "host-passthrough"
  }

  disk {
    volume_id = libvirt_volume.root.id
  }

  # addresses would be a difference in every plan, because there is no lease to compare with, and so
  # would a libvirt network that stands for a bridge.
  network_interface {
    network_id     = var.network_id
    bridge         = var.bridge
    mac            = local.mac
    wait_for_lease = false
  }

  # A console for whoever is on the hypervisor. The provider's own choice needs a package that many
  # have not got, and listens on a port.
  graphics {
    type        = "vnc"
    listen_type = "socket"
  }

  # Cloud images write their log to the serial port, and some do not start without one.
  console {
    type        = "pty"
    target_type = "serial"
    target_port = "0"
  }

  lifecycle {
    # The provider would attach another disk to a machine that runs from the first.
    replace_triggered_by = [libvirt_volume.root]
  }
}
