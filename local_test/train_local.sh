#!/bin/sh
# Train in the container on this machine, as SageMaker starts it: `docker run IMAGE train`.
#
#   local_test/train_local.sh [IMAGE] [TEST_DIR]
#
#   IMAGE      the training image                      [facegan-training:local]
#   TEST_DIR   stands for /opt/ml; its layout is SageMaker's   [local_test/test_dir]
#
#   GPUS       auto, all or none                       [auto]
#   NAME       of the container                        [facegan-train]
#
# `docker stop -t 120 facegan-train`, or Ctrl-C, stops it as SageMaker does: with a checkpoint, from
# which the next run resumes. To start over, empty TEST_DIR/checkpoints.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=${1:-facegan-training:local}
dir=${2:-$here/test_dir}
name=${NAME:-facegan-train}

fail() {
    echo "$1" >&2
    exit 1
}

"$here/check_docker.sh" "image=$image"
[ -d "$dir" ] || fail "$dir is not a folder. Copy local_test/test_dir, which has SageMaker's layout."
dir=$(cd "$dir" && pwd)
channels=$dir/input/data
[ -d "$channels/training" ] || [ -d "$channels/train" ] ||
    fail "The channel $channels/training is missing. Put pictures there, or draw some: local_test/make_data.sh."
for file in hyperparameters inputdataconfig resourceconfig; do
    [ -f "$dir/input/config/$file.json" ] ||
        fail "$dir/input/config/$file.json is missing. Copy it from local_test/test_dir."
done
options=$("$here/docker_options.sh")
mkdir -p "$dir/model" "$dir/output" "$dir/checkpoints"
[ ! -e "$dir/output/failure" ] || rm -f "$dir/output/failure"

# shellcheck disable=SC2086  # options are words
docker run --rm --name "$name" $options \
    -v "$dir:/opt/ml" -v "$dir/input:/opt/ml/input:ro" "$image" train &
run=$!
# Ctrl-C does the same as SageMaker's stop; no container may be left behind.
trap 'docker stop --time 120 "$name" >/dev/null 2>&1 || true' INT TERM HUP
code=0
wait "$run" || code=$?
while kill -0 "$run" 2>/dev/null; do
    code=0
    wait "$run" || code=$?
done

if [ "$code" != 0 ]; then
    [ ! -s "$dir/output/failure" ] || echo "Why it failed: $dir/output/failure" >&2
    exit "$code"
fi
if [ -f "$dir/model/model_card.json" ]; then
    echo "The model is in $dir/model. Serve it: local_test/serve_local.sh"
else
    echo "Stopped before the end; the run is in $dir/checkpoints. Start it again to resume."
fi
