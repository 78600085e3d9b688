#!/bin/sh
# The options of `docker run` that depend on who asks and where: the user, and the GPUs.
#
#   GPUS=auto    all GPUs where Docker has some, else none, and says so     [default]
#   GPUS=all     all GPUs; without one it is a mistake
#   GPUS=none    none
set -eu
here=$(dirname "$0")

# What the container writes shall be ours. SageMaker runs it as root; in a rootless Docker root is us.
if ! docker info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; then
    echo "--user $(id -u):$(id -g)"
fi

case ${GPUS:-auto} in
    none) ;;
    all) "$here/check_docker.sh" gpu && echo "--gpus all" ;;
    auto)
        if "$here/check_docker.sh" gpu 2>/dev/null; then
            echo "--gpus all"
        else
            echo "No GPU that Docker can use: the CPU computes." >&2
        fi
        ;;
    *)
        echo "GPUS is $GPUS. Set it to auto, all or none." >&2
        exit 1
        ;;
esac
