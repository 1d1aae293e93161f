#!/bin/sh
# Tells nightjar of any change, or of what a provider reports: JSON on the standard input, such as
#   NIGHTJAR_HOOK_SECRET=… announce-change.sh http://nightjar:7878 <<END
#   {"kind":"provider","entity":"server.address=api.stripe.com","title":"Elevated API errors",
#    "status":"investigating","at":"2026-11-20T09:12:00Z","url":"https://status.stripe.com"}
#   END
# The signature is HMAC-SHA256 over "<unix seconds>.<body>" with the secret of web.hook_secret.
set -eu
url=$1
: "${NIGHTJAR_HOOK_SECRET:?set it to web.hook_secret}"

# What is signed is what is sent: the shell cuts the ends of lines at the end from both.
body=$(cat)
now=$(date +%s)
signature=$(printf '%s.%s' "$now" "$body" |
  openssl dgst -sha256 -hmac "$NIGHTJAR_HOOK_SECRET" | sed 's/^.*= *//')
printf '%s' "$body" | curl --fail-with-body --silent --show-error --max-time 10 "$url/hooks/deploy" \
  -H 'Content-Type: application/json' \
  -H "X-Nightjar-Timestamp: $now" \
  -H "X-Nightjar-Signature: sha256=$signature" \
  --data-binary @-
