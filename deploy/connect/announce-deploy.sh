#!/bin/sh
# Tells nightjar of a deploy from any pipeline:
#   NIGHTJAR_HOOK_SECRET=… announce-deploy.sh http://nightjar:7878 orders 4.7.2 4.7.1 "A. Author"
# The signature is HMAC-SHA256 over "<unix seconds>.<body>" with the secret of web.hook_secret.
set -eu
url=$1 service=$2 version=$3 previous=${4:-} author=${5:-}
: "${NIGHTJAR_HOOK_SECRET:?set it to web.hook_secret}"

# A value as a JSON string; enough for names and versions, which have no control characters.
json() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }

body="{\"kind\":\"deploy\",\"service\":$(json "$service"),\"version\":$(json "$version")"
body="$body,\"title\":$(json "Deploy $service $version"),\"status\":\"success\""
[ -z "$previous" ] || body="$body,\"previous\":$(json "$previous")"
[ -z "$author" ] || body="$body,\"author\":$(json "$author")"
body="$body}"

now=$(date +%s)
signature=$(printf '%s.%s' "$now" "$body" |
  openssl dgst -sha256 -hmac "$NIGHTJAR_HOOK_SECRET" | sed 's/^.*= *//')
curl --fail-with-body --silent --show-error --max-time 10 "$url/hooks/deploy" \
  -H 'Content-Type: application/json' \
  -H "X-Nightjar-Timestamp: $now" \
  -H "X-Nightjar-Signature: sha256=$signature" \
  --data-binary "$body"
