#!/bin/sh
# Request images from the server on this machine, as SageMaker would.
#
#   local_test/predict.sh [PAYLOAD] [CONTENT_TYPE] [OUT]
#
#   PAYLOAD       the body of the request   [the file in local_test/payloads that fits the model]
#   CONTENT_TYPE  its content type          [by its suffix: .json .npy .csv .png]
#   OUT           the file to write; its suffix sets the type: .png .json .npy   [faces.png]
#
#   URL           the server          [http://localhost:8080]
#
# A model with seeds gets one_face.json. A model that translates images gets photo.png, and the same as
# translate.json, whose reply is faces.json. A model that paints label maps gets map.png.
set -eu

payloads=$(dirname "$0")/payloads
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

# Post a body, as curl's --data-binary names it, of a content type; the answer's status.
post() {
    curl --silent --show-error --output "$4" --write-out '%{http_code}' \
        --header "Content-Type: $2" --header "Accept: $3" --data-binary "$1" "$url/invocations" ||
        fail "Is the server up? local_test/serve_local.sh starts one, or \`facegan serve MODEL\`."
}

# Send a payload of a content type, and write the answer to a file.
predict() {
    [ -r "$1" ] || fail "$1 cannot be read."
    content_type=${2:-$(content_type_of "$1")}
    accept=$(content_type_of "$3")
    partial=$3.partial
    trap 'rm -f "$partial"' EXIT
    status=$(post "@$1" "$content_type" "$accept" "$partial")
    [ "$status" = 200 ] || fail "$url answered $status: $(cat "$partial")"
    mv "$partial" "$3"
    echo "$3"
}

if [ -n "${1:-}" ]; then
    predict "$1" "${2:-}" "$out"
    exit
fi
about=$out.about
trap 'rm -f "$about"' EXIT
post '{"about": true}' application/json application/json "$about" >/dev/null
takes=$(tr -d ' \n' <"$about")
rm -f "$about"
case $takes in
    *'"name":"label_maps"'*'"name":"latents"'* | *'"name":"latents"'*'"name":"label_maps"'*)
        predict "$payloads/map.png" "image/png;seeds=0,1,2,3" "$out"
        ;;
    *'"name":"label_maps"'*) predict "$payloads/map.png" "" "$out" ;;
    *'"name":"images"'*)
        predict "$payloads/photo.png" "" "$out"
        predict "$payloads/translate.json" "" "${out%.*}.json"
        ;;
    *) predict "$payloads/one_face.json" "" "$out" ;;
esac
