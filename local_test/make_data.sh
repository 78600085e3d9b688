#!/bin/sh
# Draw toy faces for train_local.sh: synthetic cartoons, no photo of a person. Needs Docker alone.
#
#   local_test/make_data.sh [IMAGE] [FOLDER]
#
#   IMAGE    the training image                 [facegan-training:local]
#   FOLDER   the channel that is to be made     [local_test/test_dir/input/data/training]
#
#   IMAGES   how many faces                     [2000]
#   RESOLUTION  their side in pixels            [32]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=${1:-facegan-training:local}
folder=${2:-$here/test_dir/input/data/training}

"$here/check_docker.sh" "image=$image"
options=$(GPUS=none "$here/docker_options.sh")
mkdir -p "$(dirname "$folder")"
parent=$(cd "$(dirname "$folder")" && pwd)
# shellcheck disable=SC2086  # options are words
exec docker run --rm --network none $options --entrypoint python -v "$parent:/data" "$image" \
    -m facegan.cli data toy --out "/data/$(basename "$folder")" \
    --images "${IMAGES:-2000}" --resolution "${RESOLUTION:-32}"
