# What is wrong is listed as a whole, each with a way out, before a hypervisor is asked anything.
locals {
  virtual = length(var.hypervisors) > 0

  # A node by its address, in canonical form where it is one.
  inside = { for name, node in local.nodes : name => try(cidrhost("${node.address}/${local.prefix}", 0) == cidrhost(local.cidr, 0), false) if can(cidrhost("${node.address}/32", 0)) && !strcontains(node.address, ":") }

  holders = { for name, node in local.nodes : node.address => name... }
  room    = try(pow(2, 32 - local.prefix) - 2, 0) - (local.virtual ? 1 : 0)

  # Hosts that Ansible knows and the plan would miss.
  others = setsubtract(toset(concat(
    keys(merge(try(local.hosts.all.hosts, {}))),
    flatten([for name, group in merge(try(local.hosts.all.children, {}), { for name, group in local.hosts : name => group if name != "all" }) : keys(merge(try(group.hosts, {}))) if !contains(["servers", "agents"], name)]),
    flatten([for group in ["servers", "agents"] : [for below in values(merge(try(local.hosts.all.children[group].children, {}))) : keys(merge(try(below.hosts, {})))]]),
  )), keys(local.nodes))

  # Files that Ansible reads and this module does not, if they say something about machines.
  read = ["group_vars/all/main.yml", "hosts.yml"]
  about_machines = [
    "ansible_host", "ansible_user", "cpus", "disk_gib", "hypervisor", "hypervisors", "image", "images", "memory_mib",
    "node_cidr", "node_dns_servers", "node_gateway", "node_interface", "node_ip", "ssh_authorized_keys",
  ]
  unread = { for name in fileset("${var.directory}/${var.site}", "{group_vars,host_vars}/**") : name => setintersection(
    toset(local.about_machines), toset(try(keys(yamldecode(file("${var.directory}/${var.site}/${name}"))), []))
  ) if !contains(local.read, name) && can(regex("\\.ya?ml$|/[^.]+$", name)) }

  facts_problems = concat(
    length(local.nodes) == 0 ? ["no node: list nodes below all: children: servers: and agents: in ${local.hosts_file}"] : [],
    [for name, keys in local.unread : "${name} holds ${join(", ", keys)}, which Terraform reads only in fleet.yml, group_vars/all/main.yml and hosts.yml: move it" if length(keys) > 0],
    [for name in local.others : "${name} is in neither servers nor agents, and would have no machine: move it in ${local.hosts_file}"],
    try(cidrhost(local.cidr, 0) == split("/", local.cidr)[0], false) ? [] : ["node_cidr is ${jsonencode(local.cidr)}, which is no IPv4 network without host bits: write one in ${local.facts_file}, for example 198.51.100.0/24"],
    local.room < length(local.nodes) && local.prefix > 0 ? ["node_cidr ${local.cidr} has room for ${max(local.room, 0)} nodes, and there are ${length(local.nodes)}: choose a larger network"] : [],
    [for name, node in local.nodes : "${name} has no IPv4 address: give it ansible_host or node_ip in ${local.hosts_file}" if !contains(keys(local.inside), name)],
    [for name, inside in local.inside : "${name} has the address ${local.nodes[name].address}, outside of node_cidr ${local.cidr}: choose one inside" if !inside && local.prefix > 0],
    [for name, inside in local.inside : "${name} has the address ${local.nodes[name].address}, which is the first or the last of node_cidr ${local.cidr} and no host's: choose another" if inside && try(contains([cidrhost(local.cidr, 0), cidrhost(local.cidr, -1)], local.nodes[name].address), false)],
    [for address, names in local.holders : "${join(" and ", names)} have the same address ${address}: change one of them" if length(names) > 1],
    [for name in try(local.holders[local.network.gateway], []) : "${name} has the address of the gateway, ${local.network.gateway}: change it, or node_gateway"],
    [for name in keys(local.nodes) : "${name} is no host name: use lower-case letters, digits and dashes, and write every host out" if !can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))],
  )

  used    = toset([for node in values(local.nodes) : node.hypervisor])
  spread  = { for name in var.hypervisors : name => length([for node in values(local.nodes) : node if node.role == "server" && node.hypervisor == name]) }
  uneven  = length(local.spread) < 2 ? false : max(values(local.spread)...) - min(values(local.spread)...) > 1
  located = [for name, count in local.spread : "${name} has ${count}"]

  machine_problems = !local.virtual ? [] : concat(
    [for name, node in local.nodes : "${name} names no hypervisor, and there are ${length(local.hypervisors)}: give it hypervisor in ${local.hosts_file}" if node.hypervisor == ""],
    [for name, node in local.nodes : "${name} is on the hypervisor ${node.hypervisor}, which hypervisors does not list (${join(", ", keys(local.hypervisors))}): correct it, or add it there" if node.hypervisor != "" && !contains(keys(local.hypervisors), node.hypervisor)],
    [for name in var.hypervisors : "the environment of ${var.site} makes machines on ${name}, which hypervisors does not list: add it to ${local.facts_file}" if !contains(keys(local.hypervisors), name)],
    [for name in setsubtract(local.used, var.hypervisors) : "the environment of ${var.site} has no module call for the hypervisor ${name}: add a provider and a call" if contains(keys(local.hypervisors), name)],
    [for name, hypervisor in local.hypervisors : "the hypervisor ${name} has no uri: give it one, for example qemu+ssh://root@198.51.100.2/system" if !can(regex("^[a-z]+(\\+[a-z]+)?://", hypervisor.uri))],
    [for name, hypervisor in local.hypervisors : "the hypervisor ${name} has no bridge, and with several the nodes of a site must share one network: give it the bridge that is attached to ${local.cidr}" if hypervisor.bridge == null && length(local.hypervisors) > 1],
    local.uneven ? ["servers are not spread over the hypervisors, so that one that fails takes more than its share with it: ${join(", ", local.located)}"] : [],
    [for name, node in local.nodes : "${name} names no image, and there are ${length(local.images)}: set image in fleet.yml, for the site or at the node" if node.image == ""],
    [for name, node in local.nodes : "${name} is made from the image ${node.image}, which images does not list (${join(", ", keys(local.images))}): correct it, or add it there" if node.image != "" && !contains(keys(local.images), node.image)],
    [for name, image in local.images : "the image ${name} needs a url and the sha256 of what it leads to: see SHA256SUMS beside it" if !can(regex("^(https?|file)://.", image.url)) || !can(regex("^[0-9a-f]{64}$", image.sha256))],
    [for name, node in local.nodes : "${name} has cpus ${node.cpus}, memory_mib ${node.memory_mib} and disk_gib ${node.disk_gib}: whole numbers, in fleet.yml, for the site or at the node" if node.cpus < 1 || node.memory_mib < 128 || node.disk_gib < 1 || floor(node.cpus) != node.cpus || floor(node.memory_mib) != node.memory_mib || floor(node.disk_gib) != node.disk_gib],
    can(regex("^[a-z_][a-z0-9_-]{0,31}$", local.access.user)) && local.access.user != "root" ? [] : ["ansible_user is ${jsonencode(local.access.user)}, which names no user that the machines can have beside root: set it in fleet.yml, for example ansible"],
    length(local.access.keys) > 0 ? [] : ["ssh_authorized_keys is empty, and nobody could log in to the machines: list the lines of your .pub files in fleet.yml"],
    can(regex("^[A-Za-z0-9_.-]{1,15}$", local.access.interface)) ? [] : ["node_interface is ${jsonencode(local.access.interface)}, which names no network interface: set it in fleet.yml, for example enp1s0"],
  )

  problems = concat(local.facts_problems, local.machine_problems)
}
