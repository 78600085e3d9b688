#!/bin/sh
# Ask the server on this machine for faces, as SageMaker would ask it.
#
#   local_test/predict.sh [PAYLOAD] [CONTENT_TYPE] [OUT]
#
#   PAYLOAD       what to ask                    [local_test/payloads/one_face.json]
#   CONTENT_TYPE  what PAYLOAD is                [by its suffix: .json .npy .csv]
#   OUT           where the answer goes; its suffix says the type: .png .json .npy   [faces.png]
#
#   URL           the server                     [http://localhost:8080]
set -eu

payload=${1:-$(dirname "$0")/payloads/one_face.json}
out=${3:-faces.png}
url=${URL:-http://localhost:8080}

fail() {
    echo "$1" >&2
    exit 1
}

content_type_of() {
    case $1 in
        *.json) echo application/json ;;
        *.npy) echo application/x-npy ;;
        *.csv) echo text/csv ;;
        *.png) echo image/png ;;
        *) fail "$1: the suffix tells no content type; use .json, .npy, .csv or .png." ;;
    esac
}

[ -r "$payload" ] || fail "$payload cannot be read."
content_type=${2:-$(content_type_of "$payload")}
accept=$(content_type_of "$out")

partial=$out.partial
trap 'rm -f "$partial"' EXIT
status=$(curl --silent --show-error --output "$partial" --write-out '%{http_code}' \
    --header "Content-Type: $content_type" --header "Accept: $accept" \
    --data-binary "@$payload" "$url/invocations") ||
    fail "Is the server up? local_test/serve_local.sh starts one, or \`facegan serve MODEL\`."
[ "$status" = 200 ] || fail "$url answered $status: $(cat "$partial")"
mv "$partial" "$out"
echo "$out"
