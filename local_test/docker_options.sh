#!/bin/sh
# Prints the options of `docker run` that depend on the machine: the user, and the GPUs.
#
#   GPUS=auto    all GPUs that Docker can use, else none, with a message     [default]
#   GPUS=all     all GPUs; without any it is an error
#   GPUS=none    none
set -eu
here=$(dirname "$0")

# The container's files shall belong to the user. (SageMaker runs it as root; rootless Docker maps root to the user.)
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
            echo "Docker has no usable GPU: using the CPU." >&2
        fi
        ;;
    *)
        echo "GPUS is $GPUS. Set it to auto, all or none." >&2
        exit 1
        ;;
esac
