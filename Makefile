# What is built or downloaded lies outside the checkout, in a folder named by the hash of
# what it is made from, and is never made twice. Only bin/archipel lies inside.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The checkout's own go.mod files decide, whatever workspace the user has.
export GOWORK := off
export CGO_ENABLED := 0

ifneq ($(filter-out help clean kubernetes/%,$(MAKECMDGOALS)),)
  ifeq ($(shell command -v go),)
    $(error go is missing: install Go $(shell sed -n 's/^go //p' go.mod) or newer, see https://go.dev/doc/install)
  endif
  ifeq ($(shell command -v git),)
    $(error git is missing: install it, on Debian and Ubuntu with apt-get install git)
  endif
endif

cache    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/archipel
archipel := bin/archipel

# hash names a folder by the content of files and by what a command prints.
hash = $(shell { $(1) && cat $(2); } 2>&1 | git hash-object --stdin | cut -c1-16)

lint    = $(cache)/tools/$(call hash,go version,tools/go.mod tools/go.sum)/golangci-lint
venv    = $(cache)/venv/$(call hash,python3 --version,tools/requirements.txt)
ansible = $(venv)/bin/ansible-inventory
linted  = $(cache)/venv/lint-$(call hash,python3 --version,tools/requirements.txt tools/requirements-lint.txt)
moto    = $(cache)/venv/moto-$(call hash,python3 --version,tools/requirements-terraform.txt)
sealers = $(cache)/tools/$(call hash,go version && grep getsops/sops go.mod,tools/age/go.mod tools/age/go.sum)

# OpenTofu and tflint are built inside their own modules, whose replace directives no other module
# inherits; the provider is a module of its own, because its requirements are older than theirs.
programs = $(cache)/tools/$(call hash,go version,tools/terraform/programs/go.mod tools/terraform/programs/go.sum)
provider = $(cache)/tools/$(call hash,go version,tools/terraform/provider/go.mod tools/terraform/provider/go.sum)
scanner  = $(cache)/tools/$(call hash,go version,scan/go.mod scan/go.sum scan/main.go $(filter-out %_test.go,$(wildcard scan/engine/*.go)))
libvirt := $(shell sed -n 's,.*terraform-provider-libvirt v\([0-9.]*\)$$,\1,p' tools/terraform/provider/go.mod)

# The lab's programs are built with -trimpath: with it here too, the compiler's cache
# serves both, and Kubernetes is compiled once.
in_lab = cd lab && GOFLAGS="-mod=readonly -trimpath"

# Trivy is written for Go's second version of encoding/json.
in_scan = cd scan && GOEXPERIMENT=jsonv2 GOFLAGS="-mod=readonly -trimpath"

# The tests whose names begin so compare a generated file with what it is generated from.
generated = ./internal/check ./internal/cli ./internal/fleet ./internal/infrastructure -run '^TestGenerated' -count=1

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z\/-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build bin/archipel
	go build -o $(archipel) ./cmd/archipel

.PHONY: lab
lab: build ## Raise all sites on this machine and show their status
	$(archipel) lab up

.PHONY: lab-down
lab-down: build ## Stop the lab; nothing of it stays but the cache
	$(archipel) lab down

.PHONY: test
test: build ansible programs moto lab-programs test-units test-lab test-e2e ## Run every test, those that raise a lab last

.PHONY: lab-programs
lab-programs: build
	$(archipel) lab build

# The race detector needs a C compiler and the headers of its library.
.PHONY: test-units
test-units:
	@race=; cgo=0; \
	if CGO_ENABLED=1 go build -race runtime/cgo 2>/dev/null; then race=-race; cgo=1; \
	else echo "no C compiler: the tests run without the race detector"; fi; \
	if test -e $(venv)/complete; then export ARCHIPEL_ANSIBLE_INVENTORY=$(ansible) ARCHIPEL_ANSIBLE_PLAYBOOK=$(venv)/bin/ansible-playbook; fi; \
	if test -e $(sealers)/age; then export ARCHIPEL_SOPS=$(sealers)/sops ARCHIPEL_AGE=$(sealers)/age; fi; \
	if test -e $(moto)/complete; then export ARCHIPEL_MOTO=$(moto)/bin/moto_server; fi; \
	set -x; CGO_ENABLED=$$cgo go test $$race ./...

.PHONY: test-scan
test-scan:
	$(in_scan) go test ./...

# controlplane is linked by the lab's build, and only vetted here.
.PHONY: test-lab
test-lab:
	$(in_lab) go test ./cmd/k3s ./cmd/schemas ./cmd/upstream ./internal/...

.PHONY: test-e2e
test-e2e: build
	ARCHIPEL_E2E=1 go test -count=1 -run '^TestAPIServer$$' ./internal/schema
	ARCHIPEL_E2E=1 ARCHIPEL_BINARY=$(CURDIR)/$(archipel) go test -count=1 -timeout 60m -v ./internal/e2e

.PHONY: test-terraform
test-terraform: terraform-tools moto ## Test kubernetes/terraform on a libvirt of its own; needs root and minutes
	@if test -e $(moto)/complete; then export ARCHIPEL_MOTO=$(moto)/bin/moto_server; fi; \
	set -x; ARCHIPEL_E2E=1 go test -count=1 -timeout 30m -v ./internal/infrastructure

# What is quick comes first. The lab's programs are built before its code is vetted and
# linted, which needs the same packages compiled but shows no progress.
.PHONY: check
check: build format structure verify secrets lab-programs $(lint) vet lint ## Check format, code, structure and generated files

.PHONY: format
format:
	@files=$$(gofmt -s -l cmd internal lab scan tools) || exit; \
	if test -n "$$files"; then echo "not formatted, gofmt -s -w formats:" $$files >&2; exit 1; fi

.PHONY: vet
vet:
	go vet ./...
	$(in_lab) go vet ./...

.PHONY: lint
lint: $(lint) ansible-lint
	$(lint) run --allow-serial-runners ./...
	$(in_lab) $(lint) run --allow-serial-runners --config ../.golangci.yml ./cmd/k3s/... ./cmd/schemas/... ./cmd/upstream/... ./internal/...

.PHONY: structure
structure:
	go test -count=1 ./internal/archtest

.PHONY: secrets
secrets: build
	$(archipel) secret check

.PHONY: generate
generate: build ## Write the generated files anew
	go test $(generated) -update
	$(archipel) site sync

# One patch version of each minor that sites may run; for the lab's minor, the lab's.
kubernetes := v1.34.4 v1.35.4 v1.36.4 v1.37.2

.PHONY: schemas
schemas: ## Write anew what archipel knows of the kinds of Kubernetes
	cd lab && go mod download -json $(kubernetes:%=k8s.io/kubernetes@%) | \
		go run ./cmd/schemas --out ../internal/schema/openapi

.PHONY: verify
verify: build ## Check that the generated files are up to date; changes nothing
	@ok=true; go test $(generated) || ok=false; $(archipel) site sync --check || ok=false; \
	$$ok || { echo "generated files are not up to date: make generate writes them" >&2; exit 1; }

.PHONY: tools
tools: $(lint) ansible terraform-tools ## Get what check and test need

$(cache)/tools/%/golangci-lint:
	@echo "building golangci-lint: about 4 minutes on 2 cores, once"
	@mkdir -p $(@D)
	cd tools && go build -mod=readonly -trimpath -o $@.new github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@mv $@.new $@

# archipel finds them below $(cache)/terraform: bin/tofu, and cli.tfrc, which names the mirror of
# providers.
.PHONY: terraform-tools
terraform-tools: $(programs)/tofu $(programs)/tflint $(provider)/mirror ## Build OpenTofu, tflint and the libvirt provider
	@mkdir -p $(cache)/terraform
	@ln -sfn $(programs) $(cache)/terraform/bin
	@ln -sfn $(provider)/mirror $(cache)/terraform/mirror
	@printf 'disable_checkpoint = true\n\nprovider_installation {\n  filesystem_mirror {\n    path    = "%s"\n    include = ["registry.terraform.io/*/*", "registry.opentofu.org/*/*"]\n  }\n}\n' \
		$(cache)/terraform/mirror >$(cache)/terraform/cli.tfrc.new
	@mv $(cache)/terraform/cli.tfrc.new $(cache)/terraform/cli.tfrc

# in_module builds a program inside its own module. $(1) the module, $(2) its package, $(3) flags.
define in_module
	@mkdir -p $(@D)
	@dir=$$(cd tools/terraform/programs && go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && test -n "$$dir" && \
		go build -C "$$dir" -mod=readonly -trimpath $(3) -o $@.new $(2)
	@mv $@.new $@
endef

$(cache)/tools/%/tofu:
	@echo "building OpenTofu: about 5 minutes on 2 cores, once"
	$(call in_module,github.com/opentofu/opentofu,./cmd/tofu,-ldflags="-X github.com/opentofu/opentofu/version.dev=no")

$(cache)/tools/%/tflint:
	@echo "building tflint: about 2 minutes on 2 cores, once"
	$(call in_module,github.com/terraform-linters/tflint,.)

$(cache)/tools/%/mirror:
	@echo "building the libvirt provider: about a minute, once"
	@rm -rf $@.new
	cd tools/terraform/provider && go build -mod=readonly -trimpath \
		-o $@.new/registry.terraform.io/dmacvicar/libvirt/$(libvirt)/$$(go env GOOS)_$$(go env GOARCH)/terraform-provider-libvirt_v$(libvirt) \
		github.com/dmacvicar/terraform-provider-libvirt
	@mv $@.new $@

# Trivy's checks, in a program of their own. archipel finds it below $(cache)/scan.
.PHONY: scan
scan: $(scanner)/archipel-scan ## Build archipel-scan, which archipel security asks
	@mkdir -p $(cache)/scan
	@ln -sfn $(scanner) $(cache)/scan/bin

$(cache)/tools/%/archipel-scan:
	@echo "building archipel-scan: about 4 minutes on 2 cores, once"
	@mkdir -p $(@D)
	$(in_scan) go build -o $@.new .
	@mv $@.new $@

# The stand-in for a store of states.
.PHONY: moto
moto:
	$(call venv-recipe,$(moto),tools/requirements-terraform.txt,the tests of states)

# venv makes a virtual environment. One cannot be moved: the file complete says that it is whole.
# $(1) its folder, $(2) the file of requirements, $(3) what is skipped without it.
define venv-recipe
	@if test -e $(1)/complete; then exit; fi; \
	if ! command -v python3 >/dev/null; then echo "no python3: $(3) is skipped"; exit; fi; \
	echo "installing $(2) in $(1)"; \
	rm -rf $(1); mkdir -p $(1); \
	if ! python3 -m venv $(1) >$(1)/log 2>&1; then \
		echo "no python3-venv: $(3) is skipped (on Debian and Ubuntu: apt-get install python3-venv)"; \
	elif ! $(1)/bin/pip install --quiet --retries 2 -r $(2) >$(1)/log 2>&1; then \
		tail -n 3 $(1)/log; echo "pip cannot install $(2): $(3) is skipped"; \
	else touch $(1)/complete; fi
endef

# Its absence fails no test. archipel finds ansible-playbook by the link.
.PHONY: ansible
ansible:
	$(call venv-recipe,$(venv),tools/requirements.txt,what runs Ansible)
	@if test -e $(venv)/complete; then ln -sfn $(notdir $(venv)) $(cache)/venv/current; fi

.PHONY: ansible-lint
ansible-lint:
	$(call venv-recipe,$(linted),tools/requirements-lint.txt,ansible-lint)
	@if test -e $(linted)/complete; then \
		PATH=$(linted)/bin:$$PATH ansible-lint --offline --nocolor -q kubernetes/ansible; fi

# The real sops and age, with which tests exchange files. sops is of the module that archipel
# links.
.PHONY: programs
programs: $(sealers)/age ## Build sops and age, which tests compare with

$(cache)/tools/%/age:
	@echo "building sops and age: about a minute, once"
	@mkdir -p $(@D)
	go build -mod=readonly -trimpath -o $(@D)/sops github.com/getsops/sops/v3/cmd/sops
	cd tools/age && go build -mod=readonly -trimpath -o $(@D)/ filippo.io/age/cmd/age-keygen
	cd tools/age && go build -mod=readonly -trimpath -o $@.new filippo.io/age/cmd/age
	@mv $@.new $@

.PHONY: bench
bench: build lab-programs ## Measure archipel beside its peers; needs a quiet machine, takes about ten minutes
	lab/bench/lab.sh
	lab/bench/offline.sh
	lab/bench/hosts.sh

.PHONY: clean
clean: ## Remove what was built in the checkout
	rm -rf bin
	@echo "the caches stay: $(cache)"

# A layer that is not there yet exits with 3; make itself then says "Error 3" and exits with 2.
.PHONY: kubernetes/bootstrap kubernetes/plan kubernetes/apply kubernetes/lint kubernetes/security
kubernetes/bootstrap: build ansible ## Take SITE=... from reachable hosts to Ready; all sites without it
	$(archipel) bootstrap $(or $(SITE),--all) $(ARGS)

kubernetes/plan: build terraform-tools ## Show what apply would change in the infrastructure of SITE=...; all sites without it
	$(archipel) plan $(SITE) $(ARGS)

kubernetes/apply: build terraform-tools ## Change the infrastructure of SITE=... as planned
	@test -n "$(SITE)" || { echo "name a site: make kubernetes/apply SITE=..." >&2; exit 2; }
	$(archipel) apply $(SITE) $(ARGS)

kubernetes/lint: build ## Check that the layers of all sites fit together
	$(archipel) lint

kubernetes/security: ## Check the security of what all sites run (not there yet)
	@echo "$@ needs archipel lint's security rules: they are not there yet" >&2; exit 3
