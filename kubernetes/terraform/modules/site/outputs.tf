output "nodes" {
  description = "The nodes whose machines this call made, by name: role, address, hypervisor and MAC address."
  value = {
    for name, machine in module.machine : name => {
      role       = local.nodes[name].role
      address    = machine.address
      hypervisor = var.hypervisor
      mac        = machine.mac
    }
  }
}
