#!/bin/sh
# Serve a model from the container on this machine, as SageMaker starts it: `docker run IMAGE serve`.
#
#   local_test/serve_local.sh [IMAGE] [MODEL]
#
#   IMAGE   the inference image                        [facegan-inference:local]
#   MODEL   a model's folder, or its model.tar.gz      [local_test/test_dir/model]
#
#   PORT    on localhost                               [8080]
#   GPUS    auto, all or none                          [auto]
#   NAME    of the container                           [facegan-serve]
#
# Then, in another terminal: local_test/predict.sh. Ctrl-C or `docker stop facegan-serve` ends it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=${1:-facegan-inference:local}
model=${2:-$here/test_dir/model}
port=${PORT:-8080}
unpacked=$here/test_dir/served  # as SageMaker unpacks an archive before the container starts

fail() {
    echo "$1" >&2
    exit 1
}

unpack() {
    rm -rf "$unpacked"
    mkdir -p "$unpacked"
    tar -xzf "$1" -C "$unpacked" 2>/dev/null ||
        fail "$1 is not a readable archive. Copy it again, or pack it again from the run."
}

"$here/check_docker.sh" "image=$image" "port=$port"
[ -e "$model" ] || fail "There is no model at $model. Train one: local_test/train_local.sh."
if [ -d "$model" ]; then
    folder=$(cd "$model" && pwd)
else
    unpack "$model"
    folder=$unpacked
fi
for file in model_card.json generator.safetensors; do
    [ -f "$folder/$file" ] ||
        fail "$model has no $file. Train it to the end: local_test/train_local.sh."
done
options=$("$here/docker_options.sh")

echo "Serving $model on http://localhost:$port" >&2
# shellcheck disable=SC2086  # options are words
exec docker run --rm --name "${NAME:-facegan-serve}" $options \
    -p "127.0.0.1:$port:8080" -v "$folder:/opt/ml/model:ro" "$image" serve
