# tflint reads this file where it is told to: tflint --chdir=... --config=$PWD/.tflint.hcl
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# An environment has no variables: what differs between sites is in the inventories.
rule "terraform_standard_module_structure" {
  enabled = false
}
