mock_provider "libvirt" {}

variables {
  pool = "site-a"
  path = "/var/lib/libvirt/images/site-a"
  images = {
    noble = {
      url    = "https://images.example.org/noble.img"
      sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  }
}

run "one_volume_for_each_image" {
  command = plan

  assert {
    condition     = libvirt_volume.base["noble"].name == "noble-e3b0c44298fc.qcow2" && length(libvirt_volume.base) == 1
    error_message = "the name of a volume holds the digest, so that another image is another volume"
  }

  assert {
    condition     = libvirt_pool.this.target[0].path == "/var/lib/libvirt/images/site-a"
    error_message = "the pool is not where it should be"
  }
}

run "path_relative" {
  command = plan

  variables {
    path = "images"
  }

  expect_failures = [var.path]
}

run "pool_invalid" {
  command = plan

  variables {
    pool = "site a"
  }

  expect_failures = [var.pool]
}

run "digest_missing" {
  command = plan

  variables {
    images = {
      noble = { url = "https://images.example.org/noble.img", sha256 = "" }
    }
  }

  expect_failures = [var.images]
}

run "url_invalid" {
  command = plan

  variables {
    images = {
      noble = { url = "noble.img", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
    }
  }

  expect_failures = [var.images]
}
