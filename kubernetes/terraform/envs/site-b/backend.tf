# Where it is stands in ../../backend.hcl, for the whole fleet; archipel gives the key,
# <site>/terraform.tfstate.
terraform {
  backend "s3" {}
}
