#!/bin/sh
# The AWS CLI, as anybody has it, against the lab: list, read, write with a stale and with the present ETag.
# Needs AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and keys in the environment, and a distribution's id as $1.
# Ends with 0 only if everything answers as CloudFront documents it; `aws` may be named by AWS_CLI.
set -eu

distribution=$1
aws=${AWS_CLI:-aws}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export AWS_PAGER= AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
cloudfront() { "$aws" cloudfront --output text "$@"; }
etag_of() { cloudfront get-distribution-config --id "$distribution" --query ETag; }

say "list-vpc-origins"
cloudfront list-vpc-origins --query 'VpcOriginList.Items[].[Id,Status,OriginEndpointArn]' > "$folder/origins"
grep -q 'vo_.*Deployed.*loadbalancer/app/int-chat/' "$folder/origins" || fail "no VPC origin of int-chat: $(cat "$folder/origins")"

say "get-distribution-config"
first=$(etag_of)
"$aws" cloudfront get-distribution-config --id "$distribution" --query DistributionConfig --output json > "$folder/config.json"
grep -q '"VpcOriginId": "vo_' "$folder/config.json" || fail "the config has no VPC origin"

say "update-distribution with the present ETag"
sed 's/"Comment": "Chat front door"/"Comment": "Chat front door, by hand"/' "$folder/config.json" > "$folder/changed.json"
cloudfront update-distribution --id "$distribution" --if-match "$first" \
    --distribution-config "file://$folder/changed.json" --query Distribution.Status > "$folder/status"
[ "$(cat "$folder/status")" = InProgress ] || fail "after a write the status is $(cat "$folder/status")"
second=$(etag_of)
[ "$second" != "$first" ] || fail "the ETag did not change with the write"

say "update-distribution with the stale ETag"
if cloudfront update-distribution --id "$distribution" --if-match "$first" \
    --distribution-config "file://$folder/config.json" > "$folder/answer" 2> "$folder/refusal"; then
    fail "a stale ETag was accepted"
fi
grep -q '(PreconditionFailed) when calling the UpdateDistribution operation' "$folder/refusal" || fail "$(cat "$folder/refusal")"
[ "$(etag_of)" = "$second" ] || fail "a refused write changed the ETag"

say "update-distribution without an ETag"
if cloudfront update-distribution --id "$distribution" \
    --distribution-config "file://$folder/config.json" > "$folder/answer" 2> "$folder/refusal"; then
    fail "a write without If-Match was accepted"
fi
grep -q '(InvalidIfMatchVersion)' "$folder/refusal" || fail "$(cat "$folder/refusal")"

say "update-distribution back, with the present ETag"
cloudfront update-distribution --id "$distribution" --if-match "$second" \
    --distribution-config "file://$folder/config.json" --query Distribution.Id > "$folder/answer"
tries=0
until [ "$(cloudfront get-distribution --id "$distribution" --query Distribution.Status)" = Deployed ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail "it is still not Deployed"
    sleep 0.5
done
say "done"
