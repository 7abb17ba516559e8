#!/bin/sh
# The standard AWS CLI against the lab: reads and writes what the portal created, then takes an endpoint through its whole
# life, from CreateVpcOrigin to EntityNotFound.
#
#   aws_cli.sh <distribution id> <ARN of an internal load balancer> <its security group>
#
# Needs AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and keys in the environment, the edge's address as EDGE (host:port) and the
# certificate of its authority as EDGE_CA. AWS_CLI and PYTHON override `aws` and `python3`. Exits with 0 only if every answer
# is what CloudFront documents. The lab's clock stands still and is only advanced by this script, so a slow machine cannot
# let a deployment end too early.
set -eu

distribution=$1 target=$2 group=$3
aws=${AWS_CLI:-aws} python=${PYTHON:-python3}
folder=$(mktemp -d)

# clock DOCUMENT: change the lab's clock; prints the speed that it has then. Without a document only the speed.
clock() { "$python" -c 'import json, os, sys, urllib.request as http
data = sys.argv[1].encode() if len(sys.argv) > 1 else None
reply = http.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_lab/clock", data).read()
print(json.loads(reply)["scale"])' "$@"; }

speed=$(clock)
trap 'clock "{\"scale\": $speed}" > "$folder/clock"; rm -rf "$folder"' EXIT
clock '{"scale": 0}' > "$folder/clock"
export AWS_PAGER= AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
cloudfront() { "$aws" cloudfront --output json "$@"; }

# refused CODE OPERATION command...: the command must fail with this code.
refused() {
    code=$1 operation=$2
    shift 2
    if "$@" > "$folder/answer" 2> "$folder/refusal"; then fail "$operation was accepted: $(cat "$folder/answer")"; fi
    grep -q "($code) when calling the $operation operation" "$folder/refusal" || fail "$(cat "$folder/refusal")"
}

# of FILE KEY...: one value of a JSON file.
of() { "$python" -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]: value = value[key]
print(value)' "$@"; }

is() { [ "$(of "$@")" = "$wanted" ] || fail "$* is not $wanted: $(cat "$1")"; }

advance_clock() { clock '{"advance_seconds": 900}' > "$folder/clock"; }

# await_deployed: until the distribution is Deployed, which also needs the edge to poll the lab once.
await_deployed() {
    tries=0
    until cloudfront get-distribution --id "$distribution" > "$folder/shown.json" &&
        [ "$(of "$folder/shown.json" Distribution Status)" = Deployed ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || fail "not Deployed: $(cat "$folder/shown.json")"
        sleep 0.2
    done
}

# handshake HOST PATH: a WebSocket handshake as plain bytes over TLS; prints the status line.
handshake() { "$python" -c 'import os, socket, ssl, sys
name, path = sys.argv[1:]
host, _, port = os.environ["EDGE"].rpartition(":")
context = ssl.create_default_context(cafile=os.environ["EDGE_CA"])
with context.wrap_socket(socket.create_connection((host, int(port)), 20), server_hostname=name) as edge:
    edge.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    reply = edge.makefile("rb")
    status = reply.readline().decode().strip()
    headers = {line.split(b":")[0].strip().lower(): line.split(b":", 1)[1].strip() for line in iter(reply.readline, b"\r\n")}
if " 101 " in status:
    assert headers[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", headers
print(status)' "$@"; }

# --- what the portal created

say "list-vpc-origins"
cloudfront list-vpc-origins --query 'VpcOriginList.Items[].[Id,Status,OriginEndpointArn]' --output text > "$folder/origins"
grep -q 'vo_.*Deployed.*loadbalancer/app/int-chat/' "$folder/origins" || fail "no VPC origin of int-chat: $(cat "$folder/origins")"

say "get-distribution-config"
cloudfront get-distribution-config --id "$distribution" > "$folder/read.json"
"$python" - "$folder" <<'PYTHON'
import json, sys
read = json.load(open(sys.argv[1] + "/read.json"))["DistributionConfig"]
assert any("VpcOriginConfig" in origin for origin in read["Origins"]["Items"]), "the config has no VPC origin"
json.dump(read, open(sys.argv[1] + "/config.json", "w"))
json.dump({**read, "Comment": read["Comment"] + ", by hand"}, open(sys.argv[1] + "/changed.json", "w"))
PYTHON

write() {
    file=$1
    shift
    cloudfront update-distribution --id "$distribution" --distribution-config "file://$folder/$file" "$@"
}

say "update-distribution with the present ETag, the stale one, and none"
first=$(of "$folder/read.json" ETag)
write changed.json --if-match "$first" > "$folder/written.json"
wanted=InProgress is "$folder/written.json" Distribution Status
second=$(of "$folder/written.json" ETag)
[ "$second" != "$first" ] || fail "the ETag did not change with the write"
refused PreconditionFailed UpdateDistribution write config.json --if-match "$first"
refused InvalidIfMatchVersion UpdateDistribution write config.json

# --- the life of an endpoint

say "create-vpc-origin, Deployed after a quarter of an hour"
"$python" - "$target" > "$folder/endpoint.json" <<'PYTHON'
import json, sys
print(json.dumps({
    "Name": "by-hand", "Arn": sys.argv[1], "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only",
    "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
}))
PYTHON
cloudfront create-vpc-origin --vpc-origin-endpoint-config "file://$folder/endpoint.json" > "$folder/origin.json"
wanted=Deploying is "$folder/origin.json" VpcOrigin Status
origin=$(of "$folder/origin.json" VpcOrigin Id) version=$(of "$folder/origin.json" ETag)
advance_clock
cloudfront get-vpc-origin --id "$origin" > "$folder/origin.json"
wanted=Deployed is "$folder/origin.json" VpcOrigin Status

say "authorize-security-group-ingress for CloudFront's prefix list"
list=$("$aws" ec2 describe-managed-prefix-lists --output text --query 'PrefixLists[0].PrefixListId' \
    --filters Name=prefix-list-name,Values=com.amazonaws.global.cloudfront.origin-facing)
"$aws" ec2 authorize-security-group-ingress --group-id "$group" \
    --ip-permissions "IpProtocol=tcp,FromPort=80,ToPort=80,PrefixListIds=[{PrefixListId=$list}]" > "$folder/answer"

say "update-distribution with origin and behavior"
"$python" - "$folder" "$origin" <<'PYTHON'
import json, sys
folder, origin = sys.argv[1:]
config = json.load(open(folder + "/config.json"))
# An update takes what a create may leave out: headers and both timeouts.
name = {
    "Id": "by-hand", "DomainName": "by-hand.internal.example.com", "CustomHeaders": {"Quantity": 0},
    "VpcOriginConfig": {"VpcOriginId": origin, "OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5},
}
config["Origins"] = {"Quantity": len(config["Origins"]["Items"]) + 1, "Items": [*config["Origins"]["Items"], name]}
behavior = {
    "PathPattern": "/by-hand", "TargetOriginId": "by-hand", "ViewerProtocolPolicy": "https-only",
    "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",  # CachingDisabled
    "OriginRequestPolicyId": "216adef6-5c7f-47e4-b989-5492eafa07d3",  # AllViewer
}
behaviors = [behavior, *config["CacheBehaviors"].get("Items", [])]
config["CacheBehaviors"] = {"Quantity": len(behaviors), "Items": behaviors}
json.dump(config, open(folder + "/attached.json", "w"))
PYTHON
write attached.json --if-match "$second" > "$folder/written.json"
third=$(of "$folder/written.json" ETag) name=$(of "$folder/written.json" Distribution DomainName)
advance_clock
await_deployed

say "a handshake through the edge"
tries=0
until [ "$(handshake "$name" /by-hand)" = "HTTP/1.1 101 Switching Protocols" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail "no handshake: $(handshake "$name" /by-hand)"
    sleep 0.2
done

say "update-vpc-origin while it is in use"
refused CannotUpdateEntityWhileInUse UpdateVpcOrigin \
    cloudfront update-vpc-origin --id "$origin" --if-match "$version" --vpc-origin-endpoint-config "file://$folder/endpoint.json"

say "update-distribution without it; it is in use until that is Deployed"
write config.json --if-match "$third" > "$folder/written.json"
refused CannotDeleteEntityWhileInUse DeleteVpcOrigin cloudfront delete-vpc-origin --id "$origin" --if-match "$version"
advance_clock

say "delete-vpc-origin; after minutes it is gone"
cloudfront delete-vpc-origin --id "$origin" --if-match "$version" > "$folder/origin.json"
wanted=Deploying is "$folder/origin.json" VpcOrigin Status
advance_clock
refused EntityNotFound GetVpcOrigin cloudfront get-vpc-origin --id "$origin"
say "done"
