#!/bin/sh
# Draw toy faces for train_local.sh: synthetic cartoons, no photo of a person. Needs only Docker.
#
#   local_test/make_data.sh [IMAGE] [FOLDER]
#
#   IMAGE    the training image                 [facegan-training:local]
#   FOLDER   the channel to create              [local_test/test_dir/input/data/training]
#
#   IMAGES   how many faces                     [2000]
#   RESOLUTION  their side in pixels            [32]
#   KIND     faces; or faces with what an image-to-image family trains on:   [faces]
#            label-maps (spade, pix2pix), sketch (pix2pix) or night (cyclegan), a prepared data set
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=${1:-facegan-training:local}
folder=${2:-$here/test_dir/input/data/training}

case ${KIND:-faces} in
    faces) drawn="" companion="" ;;
    label-maps) drawn="--label-maps" companion="--label-maps" ;;
    sketch) drawn="--paired sketch" companion="--paired" ;;
    night) drawn="--unpaired night" companion="--unpaired" ;;
    *)
        echo "KIND is $KIND. Set it to faces, label-maps, sketch or night." >&2
        exit 1
        ;;
esac

"$here/check_docker.sh" "image=$image"
options=$(GPUS=none "$here/docker_options.sh")
mkdir -p "$(dirname "$folder")"
parent=$(cd "$(dirname "$folder")" && pwd)
name=$(basename "$folder")

# Run facegan in the image; /data is where the channel is.
facegan() {
    # shellcheck disable=SC2086  # options are words
    docker run --rm --network none $options --entrypoint python -v "$parent:/data" "$image" \
        -m facegan.cli "$@"
}

toys=$name
[ -z "$companion" ] || toys=$name-drawn
# shellcheck disable=SC2086  # options are words
facegan data toy --out "/data/$toys" \
    --images "${IMAGES:-2000}" --resolution "${RESOLUTION:-32}" $drawn
[ -z "$companion" ] || facegan data prepare "/data/$toys" --out "/data/$name" \
    --resolution "${RESOLUTION:-32}" "$companion" "/data/$toys"
