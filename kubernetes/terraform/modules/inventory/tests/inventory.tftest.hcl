variables {
  directory   = "./tests/inventories"
  hypervisors = ["kvm-1"]
}

run "one_hypervisor" {
  command = plan

  variables {
    site = "one"
  }

  assert {
    condition     = output.site.nodes["one-server-1"].role == "server" && output.site.nodes["one-agent-1"].role == "agent" && length(output.site.nodes) == 2
    error_message = "the nodes are those of hosts.yml"
  }

  assert {
    condition     = output.site.nodes["one-agent-1"].address == "198.51.100.21"
    error_message = "node_ip comes before ansible_host"
  }

  assert {
    condition     = output.site.nodes["one-server-1"].cpus == 4 && output.site.nodes["one-server-1"].memory_mib == 8192 && output.site.nodes["one-agent-1"].disk_gib == 200 && output.site.nodes["one-agent-1"].cpus == 2
    error_message = "a node's own variable comes before its group's, the site's and the fleet's"
  }

  assert {
    condition     = output.site.nodes["one-server-1"].hypervisor == "kvm-1" && output.site.nodes["one-server-1"].image == "noble"
    error_message = "where there is one, it is taken"
  }

  assert {
    condition     = output.site.network.gateway == "198.51.100.1" && output.site.network.dns_servers == tolist(["198.51.100.1"])
    error_message = "the first address of the network is the gateway"
  }
}

run "several_hypervisors" {
  command = plan

  variables {
    site        = "several"
    hypervisors = ["kvm-1", "kvm-2"]
  }

  assert {
    condition     = output.uris == { "kvm-1" = "qemu+ssh://root@203.0.113.2/system", "kvm-2" = "qemu+ssh://root@203.0.113.3/system" }
    error_message = "the URIs of both"
  }

  assert {
    condition     = output.site.hypervisors["kvm-2"].storage == "/srv/libvirt" && output.site.hypervisors["kvm-1"].storage == "/var/lib/libvirt/images"
    error_message = "each hypervisor has its own storage"
  }

  assert {
    condition     = output.site.network.gateway == "203.0.113.254" && output.site.network.dns_servers == tolist(["203.0.113.53", "203.0.113.54"])
    error_message = "the router and the DNS servers of the network"
  }
}

run "a_hypervisor_without_a_call" {
  command = plan

  variables {
    site = "several"
  }

  expect_failures = [output.site]
}

run "machines_that_exist" {
  command = plan

  variables {
    site        = "bare"
    hypervisors = []
  }

  assert {
    condition     = output.site.nodes["bare-server-1"].hypervisor == "" && length(output.site.hypervisors) == 0
    error_message = "no hypervisor"
  }
}

run "broken" {
  command = plan

  variables {
    site = "broken"
  }

  expect_failures = [output.site]
}

run "no_such_site" {
  command = plan

  variables {
    site = "nowhere"
  }

  expect_failures = [var.site]
}
