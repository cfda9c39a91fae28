mock_provider "libvirt" {}

variables {
  name = "site-a"
  cidr = "198.51.100.0/24"
}

run "a_network_of_its_own" {
  command = plan

  assert {
    condition     = libvirt_network.this.mode == "nat" && libvirt_network.this.addresses == tolist(["198.51.100.0/24"])
    error_message = "the network of the nodes, behind NAT"
  }

  assert {
    condition     = length(libvirt_network.this.bridge) <= 15
    error_message = "the kernel takes no longer name: ${libvirt_network.this.bridge}"
  }

  assert {
    condition     = libvirt_network.this.dhcp[0].enabled == false && libvirt_network.this.autostart
    error_message = "no DHCP, and started with the hypervisor"
  }
}

run "name_invalid" {
  command = plan

  variables {
    name = "Site A"
  }

  expect_failures = [var.name]
}

run "cidr_invalid" {
  command = plan

  variables {
    cidr = "198.51.100.0/40"
  }

  expect_failures = [var.cidr]
}

run "cidr_host_bits" {
  command = plan

  variables {
    cidr = "198.51.100.1/24"
  }

  expect_failures = [var.cidr]
}

run "cidr_too_small" {
  command = plan

  variables {
    cidr = "198.51.100.0/30"
  }

  expect_failures = [var.cidr]
}
