terraform {
  required_version = ">= 1.10"

  required_providers {
    # The modules below use it; its name here is what a call gives a provider to.
    # tflint-ignore: terraform_unused_required_providers
    libvirt = {
      source  = "registry.terraform.io/dmacvicar/libvirt"
      version = "~> 0.8.3"
    }
  }
}
