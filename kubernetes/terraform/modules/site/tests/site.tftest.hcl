mock_provider "libvirt" {}

variables {
  hypervisor = "kvm-1"
  site = {
    name = "site-a"
    network = {
      cidr        = "198.51.100.0/24"
      prefix      = 24
      gateway     = "198.51.100.1"
      dns_servers = ["198.51.100.1"]
    }
    access = {
      user      = "ansible"
      keys      = ["ssh-ed25519 AAAA example"]
      interface = "enp1s0"
    }
    images = {
      noble = { url = "https://images.example.org/noble.img", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
      next  = { url = "https://images.example.org/next.img", sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
      other = { url = "https://images.example.org/other.img", sha256 = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752" }
    }
    hypervisors = {
      kvm-1 = { uri = "qemu:///system", bridge = "br0", storage = "/srv", emulated = false, firmware = { code = null, variables = null, nvram = null } }
      kvm-2 = { uri = "qemu+ssh://root@198.51.100.3/system", bridge = "br0", storage = "/srv", emulated = false, firmware = { code = null, variables = null, nvram = null } }
    }
    nodes = {
      site-a-server-1 = { role = "server", address = "198.51.100.11", hypervisor = "kvm-1", image = "noble", cpus = 2, memory_mib = 4096, disk_gib = 40 }
      site-a-server-2 = { role = "server", address = "198.51.100.12", hypervisor = "kvm-2", image = "noble", cpus = 2, memory_mib = 4096, disk_gib = 40 }
      site-a-agent-1  = { role = "agent", address = "198.51.100.21", hypervisor = "kvm-1", image = "next", cpus = 8, memory_mib = 16384, disk_gib = 200 }
    }
  }
}

run "the_nodes_of_one_hypervisor" {
  command = plan

  assert {
    condition     = keys(output.nodes) == ["site-a-agent-1", "site-a-server-1"]
    error_message = "a machine for each node of this hypervisor, and no other"
  }

  assert {
    condition     = output.nodes["site-a-agent-1"].role == "agent" && output.nodes["site-a-agent-1"].address == "198.51.100.21" && output.nodes["site-a-agent-1"].hypervisor == "kvm-1"
    error_message = "what the inventory says of it"
  }

  assert {
    condition     = keys(module.image.volumes) == ["next", "noble"]
    error_message = "the images that are used, and no other"
  }

  assert {
    condition     = length(module.network) == 0
    error_message = "with a bridge, libvirt needs no network"
  }
}

run "the_nodes_of_the_other" {
  command = plan

  variables {
    hypervisor = "kvm-2"
  }

  assert {
    condition     = keys(output.nodes) == ["site-a-server-2"]
    error_message = "a machine for each node of this hypervisor, and no other"
  }
}

run "no_such_hypervisor" {
  command = plan

  variables {
    hypervisor = "kvm-9"
  }

  expect_failures = [var.hypervisor]
}
