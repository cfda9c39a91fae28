# Reads what Ansible reads, without its templates: the nodes in hosts.yml, and variables in
# fleet.yml, in group_vars/all/main.yml, and in hosts.yml below vars: of a group or at a node.
# The later one wins.
locals {
  hosts_file  = "${var.directory}/${var.site}/hosts.yml"
  facts_file  = "${var.directory}/${var.site}/group_vars/all/main.yml"
  hosts       = yamldecode(file(local.hosts_file))
  fleet_facts = try(yamldecode(file("${var.directory}/fleet.yml")).all.vars, {})

  # merge takes a null for an empty map, as YAML writes one.
  facts = merge(local.fleet_facts, yamldecode(file(local.facts_file)), try(local.hosts.all.vars, {}))

  groups = flatten([
    for role, group in { server = "servers", agent = "agents" } : [
      for found in [try(local.hosts.all.children[group], null), try(local.hosts[group], null)] : {
        role  = role
        vars  = merge(try(found.vars, {}))
        hosts = merge(try(found.hosts, {}))
      } if found != null
    ]
  ])

  entries = merge(flatten([
    for group in local.groups : [
      for name, own in group.hosts : { (name) = { role = group.role, vars = merge(local.facts, group.vars, own) } }
    ]
  ])...)

  cidr   = try(tostring(local.facts.node_cidr), "")
  prefix = try(tonumber(split("/", local.cidr)[1]), 0)

  hypervisors = {
    for name, own in merge(try(local.facts.hypervisors, {})) : name => {
      uri      = try(tostring(own.uri), "")
      bridge   = try(tostring(own.bridge), null)
      storage  = try(tostring(own.storage), "/var/lib/libvirt/images")
      emulated = try(tobool(own.emulated), false)
      firmware = {
        code      = try(tostring(own.firmware.code), null)
        variables = try(tostring(own.firmware.variables), null)
        nvram     = try(tostring(own.firmware.nvram), null)
      }
    }
  }

  images = {
    for name, own in merge(try(local.facts.images, {})) : name => {
      url    = try(tostring(own.url), "")
      sha256 = try(tostring(own.sha256), "")
    }
  }

  # Where there is one, a node need not name it. With several, a choice made here would change
  # when one is added, and machines would be made anew elsewhere.
  only = {
    hypervisor = length(local.hypervisors) == 1 ? keys(local.hypervisors)[0] : ""
    image      = length(local.images) == 1 ? keys(local.images)[0] : ""
  }

  nodes = {
    for name, entry in local.entries : name => {
      role    = entry.role
      address = try(tostring(entry.vars.node_ip), tostring(entry.vars.ansible_host), name)

      hypervisor = try(tostring(entry.vars.hypervisor), local.only.hypervisor)
      image      = try(tostring(entry.vars.image), local.only.image)
      cpus       = try(tonumber(entry.vars.cpus), 0)
      memory_mib = try(tonumber(entry.vars.memory_mib), 0)
      disk_gib   = try(tonumber(entry.vars.disk_gib), 0)
    }
  }

  network = {
    cidr        = local.cidr
    prefix      = local.prefix
    gateway     = try(tostring(local.facts.node_gateway), cidrhost(local.cidr, 1), "")
    dns_servers = try(tolist(local.facts.node_dns_servers), tolist([tostring(local.facts.node_gateway)]), tolist([cidrhost(local.cidr, 1)]), tolist([]))
  }

  access = {
    user      = try(tostring(local.facts.ansible_user), "")
    keys      = try([for key in local.facts.ssh_authorized_keys : trimspace(key)], [])
    interface = try(tostring(local.facts.node_interface), "")
  }
}
