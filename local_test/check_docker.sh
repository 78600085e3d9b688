#!/usr/bin/env bash
# Checks Docker's requirements; if one is missing, prints one line that says what to do.
#
#   local_test/check_docker.sh [compose] [gpu] [image=NAME] [port=NUMBER] ...
#
# Exits with 0 and prints nothing if all requirements are met; else exits with 1.
set -u

fail() {
    echo "$*" >&2
    exit 1
}

check_engine() {
    command -v docker >/dev/null ||
        fail "Docker is not installed. Install it (docs.docker.com/get-docker), or do without: make demo."
    local output
    output=$(docker version --format '{{.Server.Version}}' 2>&1) && return
    case $output in
        *"permission denied"*)
            fail "You may not use Docker. Join its group (sudo usermod -aG docker \$USER) and log in again." ;;
        *) fail "Docker does not answer. Start it: sudo systemctl start docker, or Docker Desktop." ;;
    esac
}

# SageMaker's SDK uses `docker compose` version 2 or newer, else any `docker-compose`.
check_compose() {
    docker compose version 2>/dev/null | grep -qE 'version v?([2-9]|[1-9][0-9])' && return
    command -v docker-compose >/dev/null ||
        fail "Docker's compose is missing. Install docker-compose-plugin (or Debian's docker-compose)."
}

# --gpus needs NVIDIA's container toolkit.
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
for requirement in "$@"; do
    case $requirement in
        compose) check_compose ;;
        gpu) check_gpu ;;
        image=*) check_image "${requirement#image=}" ;;
        port=*) check_port "${requirement#port=}" ;;
        *) fail "check_docker.sh accepts compose, gpu, image=NAME and port=NUMBER, not $requirement." ;;
    esac
done
