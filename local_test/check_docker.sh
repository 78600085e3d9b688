#!/usr/bin/env bash
# Can Docker do what is about to be asked of it? Says in a line what it lacks, and what to do.
#
#   local_test/check_docker.sh [compose] [gpu] [image=NAME] [port=NUMBER] ...
#
# Exit code 0, and no word, where everything is there; else 1.
set -u

fail() {
    echo "$*" >&2
    exit 1
}

check_engine() {
    command -v docker >/dev/null ||
        fail "Docker is not installed. Install it (docs.docker.com/get-docker), or do without: make demo."
    local told
    told=$(docker version --format '{{.Server.Version}}' 2>&1) && return
    case $told in
        *"permission denied"*)
            fail "You may not use Docker. Join its group (sudo usermod -aG docker \$USER) and log in again." ;;
        *) fail "Docker does not answer. Start it: sudo systemctl start docker, or Docker Desktop." ;;
    esac
}

# SageMaker's SDK takes `docker compose` of version 2 or newer, else any `docker-compose`.
check_compose() {
    docker compose version 2>/dev/null | grep -qE 'version v?([2-9]|[1-9][0-9])' && return
    command -v docker-compose >/dev/null ||
        fail "Docker's compose is missing. Install docker-compose-plugin (or Debian's docker-compose)."
}

# --gpus needs NVIDIA's container toolkit beside the engine.
check_gpu() {
    nvidia-smi --list-gpus >/dev/null 2>&1 ||
        fail "This machine has no NVIDIA GPU that works (nvidia-smi lists none). Leave the GPU out."
    command -v nvidia-container-runtime-hook >/dev/null || command -v nvidia-ctk >/dev/null ||
        docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q nvidia ||
        fail "Docker cannot reach the GPU. Install nvidia-container-toolkit and restart Docker."
}

check_image() {
    local is can
    is=$(docker image inspect --format '{{.Architecture}}' "$1" 2>/dev/null) ||
        fail "There is no image $1 here. Build it (make build), or pull it (docker pull $1)."
    can=$(docker version --format '{{.Server.Arch}}')
    [ "$is" = "$can" ] ||
        fail "The image $1 is built for $is, and this Docker runs $can. Build it here: make build."
}

check_port() {
    case $1 in
        '' | *[!0-9]*) fail "$1 is not a port. Give a number, such as PORT=8080." ;;
    esac
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
    fail "Port $1 is taken. Stop what listens there, or choose another: PORT=$(($1 + 1))."
}

check_engine
for wish in "$@"; do
    case $wish in
        compose) check_compose ;;
        gpu) check_gpu ;;
        image=*) check_image "${wish#image=}" ;;
        port=*) check_port "${wish#port=}" ;;
        *) fail "check_docker.sh knows compose, gpu, image=NAME and port=NUMBER, not $wish." ;;
    esac
done
