// The programs that plan and check the Terraform tree. Each is built inside its own module,
// because its replace directives are not inherited; what stands here pins them.
module archipel/tools/terraform/programs

go 1.26.0

require (
	github.com/opentofu/opentofu v1.12.6
	github.com/terraform-linters/tflint v0.64.0
)
