mock_provider "libvirt" {}

variables {
  name                = "site-a-server-1"
  pool                = "site-a"
  image               = "e3b0c442"
  base_volume_id      = "/pool/noble.qcow2"
  network_id          = "network"
  address             = "198.51.100.11"
  prefix_length       = 24
  gateway             = "198.51.100.1"
  dns_servers         = ["198.51.100.1"]
  interface           = "enp1s0"
  user                = "ansible"
  ssh_authorized_keys = ["ssh-ed25519 AAAA example"]
}

run "defaults" {
  command = plan

  assert {
    condition     = libvirt_volume.root.size == 40 * 1024 * 1024 * 1024 && libvirt_domain.this.vcpu == 2 && libvirt_domain.this.memory == 4096
    error_message = "the sizes are not the documented ones"
  }

  assert {
    condition     = libvirt_domain.this.type == "kvm" && libvirt_domain.this.cpu[0].mode == "host-passthrough"
    error_message = "KVM with the CPU of the hypervisor"
  }

  assert {
    condition     = libvirt_domain.this.firmware == "/usr/share/OVMF/OVMF_CODE_4M.fd" && libvirt_domain.this.nvram[0].file == "/var/lib/libvirt/qemu/nvram/site-a-server-1_VARS.fd"
    error_message = "UEFI, with variables of its own"
  }

  assert {
    condition     = libvirt_domain.this.autostart && libvirt_domain.this.running && libvirt_domain.this.network_interface[0].wait_for_lease == false
    error_message = "started with the hypervisor, and not waited for"
  }
}

run "ready_for_ansible" {
  command = plan

  assert {
    condition     = startswith(terraform_data.seed.input.user_data, "#cloud-config\n")
    error_message = "cloud-init ignores user data without its first line"
  }

  assert {
    condition     = yamldecode(terraform_data.seed.input.user_data).hostname == "site-a-server-1"
    error_message = "the host name is that of the inventory"
  }

  assert {
    condition     = yamldecode(terraform_data.seed.input.user_data).users[0].name == "ansible" && yamldecode(terraform_data.seed.input.user_data).users[0].ssh_authorized_keys == ["ssh-ed25519 AAAA example"]
    error_message = "the user and its keys"
  }

  assert {
    condition     = yamldecode(terraform_data.seed.input.user_data).ssh_pwauth == false && yamldecode(terraform_data.seed.input.user_data).users[0].lock_passwd
    error_message = "no passwords"
  }

  assert {
    condition     = yamldecode(terraform_data.seed.input.network_config).ethernets.enp1s0.set-name == "enp1s0" && yamldecode(terraform_data.seed.input.network_config).ethernets.enp1s0.addresses == ["198.51.100.11/24"]
    error_message = "the interface has the name and the address of the inventory"
  }

  assert {
    condition     = yamldecode(terraform_data.seed.input.network_config).ethernets.enp1s0.match.macaddress == lower(output.mac) && upper(libvirt_domain.this.network_interface[0].mac) == output.mac
    error_message = "cloud-init finds the interface by its MAC address"
  }

  assert {
    condition     = output.mac == "52:54:00:${upper(join(":", regex("^(..)(..)(..)", sha1("site-a-server-1"))))}"
    error_message = "the MAC address follows from the name alone: ${output.mac}"
  }
}

run "emulated" {
  command = plan

  variables {
    emulated   = true
    cpus       = 4
    memory_mib = 8192
    disk_gib   = 10
  }

  assert {
    condition     = libvirt_domain.this.type == "qemu" && libvirt_domain.this.vcpu == 4 && libvirt_domain.this.memory == 8192 && libvirt_volume.root.size == 10 * 1024 * 1024 * 1024
    error_message = "QEMU's own CPU, and the sizes that are given"
  }
}

run "on_a_bridge" {
  command = plan

  variables {
    network_id = null
    bridge     = "br0"
  }

  assert {
    condition     = libvirt_domain.this.network_interface[0].bridge == "br0"
    error_message = "the machine is attached to the bridge itself"
  }
}

run "bridge_too_long" {
  command = plan

  variables {
    bridge = "a-bridge-that-is-too-long"
  }

  expect_failures = [var.bridge]
}

# The names of the disks. One that changes by itself would replace the machines of every site.
run "made" {
  command = plan

  assert {
    condition     = libvirt_volume.root.name == "site-a-server-1-41c96933.qcow2" && libvirt_volume.seed.name == "site-a-server-1-41c96933.iso"
    error_message = "another name: ${libvirt_volume.root.name}"
  }
}

run "another_address_is_a_new_machine" {
  command = plan

  variables {
    address = "198.51.100.12"
  }

  assert {
    condition     = libvirt_volume.root.name != "site-a-server-1-41c96933.qcow2" && libvirt_volume.seed.name != "site-a-server-1-41c96933.iso"
    error_message = "the machine kept its old disk, with the old address"
  }
}

run "another_image_is_a_new_machine" {
  command = plan

  variables {
    image = "9f86d081"
  }

  assert {
    condition     = libvirt_volume.root.name != "site-a-server-1-41c96933.qcow2"
    error_message = "the machine kept the disk of the old image"
  }
}

run "name_invalid" {
  command = plan

  variables {
    name = "Server_1"
  }

  expect_failures = [var.name]
}

run "address_missing" {
  command = plan

  variables {
    address = ""
  }

  expect_failures = [var.address]
}

run "user_root" {
  command = plan

  variables {
    user = "root"
  }

  expect_failures = [var.user]
}

run "no_key" {
  command = plan

  variables {
    ssh_authorized_keys = []
  }

  expect_failures = [var.ssh_authorized_keys]
}

run "private_key" {
  command = plan

  variables {
    ssh_authorized_keys = ["~/.ssh/id_ed25519"]
  }

  expect_failures = [var.ssh_authorized_keys]
}

run "sizes_invalid" {
  command = plan

  variables {
    cpus       = 0
    memory_mib = 64
    disk_gib   = 1.5
  }

  expect_failures = [var.cpus, var.memory_mib, var.disk_gib]
}
