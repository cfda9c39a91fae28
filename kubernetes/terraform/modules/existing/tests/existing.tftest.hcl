variables {
  site = {
    name        = "bare"
    hypervisors = {}
    nodes = {
      bare-server-1 = { role = "server", address = "192.0.2.11", hypervisor = "" }
    }
  }
}

run "listed" {
  command = plan

  assert {
    condition     = output.nodes == { bare-server-1 = { role = "server", address = "192.0.2.11" } }
    error_message = "the nodes of the inventory"
  }
}

run "hypervisor_listed" {
  command = plan

  variables {
    site = {
      name        = "bare"
      hypervisors = { kvm-1 = "qemu:///system" }
      nodes       = {}
    }
  }

  expect_failures = [var.site]
}

run "hypervisor_named" {
  command = plan

  variables {
    site = {
      name        = "bare"
      hypervisors = {}
      nodes = {
        bare-server-1 = { role = "server", address = "192.0.2.11", hypervisor = "kvm-1" }
      }
    }
  }

  expect_failures = [var.site]
}
