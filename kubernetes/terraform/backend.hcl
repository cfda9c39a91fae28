# Where Terraform keeps the states of all sites: one bucket, one object for each site. archipel
# gives the object's name, <site>/terraform.tfstate; credentials come from the environment (AWS_*).
bucket = "archipel-terraform"
region = "us-east-1"

# Who holds a state is written to this table. Its successor is an object beside the state:
# docs/how-to/move-the-lock.md leads there.
dynamodb_table = "archipel-terraform-locks"

# Asks the store to encrypt what it keeps.
encrypt = true

# Any store that speaks S3. Remove the rest of this file for AWS itself.
endpoints = {
  s3       = "https://s3.archipel.example"
  dynamodb = "https://dynamodb.archipel.example"
}
use_path_style              = true
skip_credentials_validation = true
skip_metadata_api_check     = true
skip_region_validation      = true
skip_requesting_account_id  = true
