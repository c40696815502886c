#!/bin/sh
# Makes the bucket on either server, if it is not there: run by LocalStack itself when it is ready, and for MinIO by
# the service minio-bucket of docker-compose.yml.
#
# usage: init-bucket.sh    BUCKET names another bucket than `sync-agent`
set -eu

bucket=${BUCKET:-sync-agent}
if command -v awslocal >/dev/null 2>&1; then
  awslocal s3api head-bucket --bucket "$bucket" 2>/dev/null || awslocal s3api create-bucket --bucket "$bucket"
else
  # The server is the alias `target`, from MC_HOST_target.
  mc mb --ignore-existing "target/$bucket"
fi
