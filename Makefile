# Shortcuts for the commands of facegan and the scripts of this repository; recipes hold no logic.
# `make` or `make help` lists every target with its variables.

PYTHON  ?= python3
FAMILY  ?= dcgan
PRESET  ?= toy32
DATA    ?= runs/toy32
SOURCE  ?= photos
RESOLUTION ?= 64
RUN     ?= runs/$(FAMILY)-$(PRESET)
PORT    ?= 8080
SEEDS   ?= 0-15
BUDGET_MINUTES ?= 10
FUZZ_MINUTES ?= 10
PICTURES ?=
ARGS    ?=
# Images and instance type of local-test: local, or local_gpu if Docker has GPUs.
TRAINING_IMAGE  ?= facegan-training:local
INFERENCE_IMAGE ?= facegan-inference:local
INSTANCE_TYPE   ?= local
# CPU=1 installs torch from PyTorch's public index of CPU builds, which saves gigabytes on Linux;
# TORCH_INDEX=URL names another index.
CPU ?=
TORCH_INDEX ?= $(if $(CPU),https://download.pytorch.org/whl/cpu)
# Images: cuda or cpu, base images, and where a build finds packages (docker/README.md).
VARIANT    ?= cuda
BASE       ?=
BUILD_BASE ?=
PIP_INDEX  ?=
PIP_CONF   ?=
CA         ?=
OFFLINE    ?=
LOCK       ?=
REPOSITORY ?= facegan

VENV    := .venv
BIN     := $(VENV)/bin
LOCAL   := .venv-local
STUDIO  := .venv-studio
ENGINE  := PYTHONPATH=src $(PYTHON)
STARTED := $(shell date +%s)
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
           --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help demo demo-paint demo-translate test setup data prepare train evaluate report generate serve faces notebook lint check format release bench-train bench-steps bench-quality bench-translate bench-modes bench-resume bench-distributed bench-toy bench-data bench-prepare bench-serve bench-calls bench-overload bench-bodies bench-backends studio test-studio local-data local-test fuzz broken-pictures clean base lock wheels build push test-images sbom bench-images docs test-docs rooms bench-gpu

##— Start here (without a GPU add CPU=1: it avoids the CUDA download) —
demo: $(VENV)/.installed    ## Data, training, serving and images on this machine, about six minutes (CPU=1, ARGS="--minutes 1 --images 5000")
	@$(BIN)/python local_test/demo.py --started-at $(STARTED) $(ARGS)

demo-paint: $(VENV)/.installed ## Label maps to faces: data, GauGAN (spade), a server, PNGs through boto3 (ARGS="--minutes 1")
	@$(BIN)/python local_test/demo_paint.py --started-at $(STARTED) $(ARGS)

demo-translate: $(VENV)/.installed ## Day to night and back: data, CycleGAN, a server, PNGs through boto3 (ARGS="--minutes 1")
	@$(BIN)/python local_test/demo_translate.py --started-at $(STARTED) $(ARGS)

# One process per core, up to four, each with one thread: more would wait for one another.
test: $(VENV)/.installed-dev ## Run all tests that need only this machine (ARGS="-k resume"; ARGS="-n 0": in one process)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

##— On this machine, step by step —
setup: $(VENV)/.installed-dev ## Install the package and the tools into .venv

data: $(VENV)/.installed    ## Make a data set of synthetic cartoon faces in DATA
	@$(BIN)/facegan data toy --out $(DATA) --images 20000 --resolution 32 $(ARGS)

prepare: $(VENV)/.installed ## Prepare images from SOURCE (a folder, zip, tar, CelebA) in DATA (SOURCE=photos DATA=runs/photos64 RESOLUTION=64)
	@$(BIN)/facegan data prepare $(SOURCE) --out $(DATA) --resolution $(RESOLUTION) $(ARGS)

train: $(VENV)/.installed   ## Train FAMILY's PRESET on the images in DATA; the run is in RUN
	@$(BIN)/facegan train --data $(DATA) --out $(RUN) --family $(FAMILY) --preset $(PRESET) $(ARGS)

evaluate: $(VENV)/.installed ## Measure the model of RUN: FID, KID, precision, recall (ARGS="--samples 2000")
	@$(BIN)/facegan evaluate $(RUN)/model.tar.gz --data $(DATA) $(ARGS)

report: $(VENV)/.installed  ## Write an HTML page about RUN to RUN/report.html (ARGS="--watch 30")
	@$(BIN)/facegan report $(RUN) $(ARGS)

generate: $(VENV)/.installed ## Generate images of SEEDS without a server, in RUN/faces.png
	@$(BIN)/facegan generate $(RUN)/model.tar.gz --seeds $(SEEDS) --out $(RUN)/faces.png $(ARGS)

serve: $(VENV)/.installed   ## Serve the model of RUN on localhost:PORT
	@$(BIN)/facegan serve $(RUN)/model.tar.gz --port $(PORT) $(ARGS)

faces: $(VENV)/.installed   ## Get images of SEEDS from the running server through boto3, in faces.png
	@$(BIN)/facegan invoke --endpoint-url http://localhost:$(PORT) --seeds $(SEEDS) --out faces.png $(ARGS)

notebook: $(VENV)/.installed ## Run notebooks/face_generation.ipynb; output in runs/notebook (ARGS="--minutes 1"; --save keeps outputs)
	@$(PIP) --editable '.[notebook]'
	@$(BIN)/python notebooks/execute.py $(ARGS)

studio: $(STUDIO)/.installed ## Browse the images of RUN's model on a local web page (ARGS="--data runs/toy32" adds a quiz)
	@$(STUDIO)/bin/facegan studio --model $(RUN)/model.tar.gz $(ARGS)

test-studio: $(STUDIO)/.installed-test ## Test the studio in headless Chromium, which must be on the PATH (PICTURES=docs/pictures)
	@FACEGAN_STUDIO_PICTURES='$(PICTURES)' $(STUDIO)/bin/python -m pytest -m studio tests/studio $(ARGS)

##— Benchmarks —
bench-train: $(VENV)/.installed ## Training speed: our trainer and the article's loop
	@$(BIN)/python benchmarks/bench_train.py $(ARGS)

bench-steps: $(VENV)/.installed ## Training speed: this version and an earlier one, per family (ARGS="--only r3gan")
	@$(BIN)/python benchmarks/bench_steps.py $(ARGS)

bench-quality: $(VENV)/.installed ## Quality by training time: our DCGAN, the article's and the standard one (BUDGET_MINUTES=10)
	@$(BIN)/python benchmarks/bench_quality.py --minutes $(BUDGET_MINUTES) $(ARGS)

bench-modes: $(VENV)/.installed ## Modes of stacked MNIST by training time: r3gan, the classic loss, stylegan2, dcgan (BUDGET_MINUTES=20 each)
	@$(PIP) --editable '.[modes]'
	@$(BIN)/python benchmarks/bench_modes.py --minutes $(BUDGET_MINUTES) $(ARGS)

bench-translate: $(VENV)/.installed ## Image to image after minutes of training: SPADE, Pix2Pix, CycleGAN (ARGS="cyclegan --budget 0.1" for one)
	@$(BIN)/python benchmarks/bench_translate.py $(ARGS)

bench-resume: $(VENV)/.installed ## Kill training runs at random moments, resume, compare every bit
	@$(BIN)/python benchmarks/bench_resume.py $(ARGS)

bench-distributed: $(VENV)/.installed ## Compare two processes with one: time per step, difference of the weights
	@$(BIN)/python benchmarks/bench_distributed.py $(ARGS)

bench-toy: $(VENV)/.installed ## Speed of drawing toy faces
	@$(BIN)/python benchmarks/bench_toy_faces.py $(ARGS)

bench-data: $(VENV)/.installed-dev ## Images per second that reach a training step: packed shards, ImageFolder, a stream
	@$(BIN)/python benchmarks/bench_data.py $(ARGS)

bench-prepare: $(VENV)/.installed ## Speed of preparing a data set compared with decoding alone; memory by number of images
	@$(BIN)/python benchmarks/bench_prepare.py $(ARGS)

bench-serve: $(VENV)/.installed ## Our server, LitServe, BentoML and Flask; needs wrk (ARGS="--headline", "--tune")
	@$(BIN)/python benchmarks/bench_serve.py --torch-index '$(TORCH_INDEX)' $(ARGS)

bench-calls: $(VENV)/.installed ## Calls of our code in one request of four seeds (ARGS=--tree)
	@$(BIN)/python benchmarks/count_request_calls.py $(ARGS)

bench-overload: $(VENV)/.installed ## Our server for a minute at ten times its capacity; needs wrk (ARGS="--images 4")
	@$(BIN)/python benchmarks/bench_overload.py $(ARGS)

bench-bodies: $(VENV)/.installed ## Latency of /ping while 16 connections upload 6 MB bodies (ARGS="--seconds 30")
	@$(BIN)/python benchmarks/bench_bodies.py $(ARGS)

bench-backends: $(VENV)/.installed ## The generator on torch, ONNX Runtime and OpenVINO: speed, start, memory, pixels
	@$(BIN)/python benchmarks/bench_backends.py --torch-index '$(TORCH_INDEX)' $(ARGS)

bench-gpu: $(VENV)/.installed ## Training and serving on one GPU, at most 8 minutes: speed, memory, precision (ARGS=--dry: on a CPU)
	@$(BIN)/python benchmarks/bench_gpu.py $(ARGS)

bench-images: $(VENV)/.installed ## Container images: size, and time to build, start and stop
	@PYTHONPATH=docker:tests/container $(BIN)/python benchmarks/bench_images.py \
	    $(if $(BASE),--base $(BASE)) $(if $(BUILD_BASE),--build-base $(BUILD_BASE)) $(if $(OFFLINE),--offline) $(ARGS)

##— Container images, with Docker —
base:                       ## Build base images from Debian packages, if no registry can be reached
	@docker/base

build:                      ## Build both images, tagged by version, commit and `local` (VARIANT=cpu BASE=facegan-base BUILD_BASE=facegan-build-base)
	@$(ENGINE) docker/build.py --variant $(VARIANT) $(if $(BASE),--base $(BASE)) \
	    $(if $(BUILD_BASE),--build-base $(BUILD_BASE)) $(if $(PIP_INDEX),--index $(PIP_INDEX)) \
	    $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(if $(PIP_CONF),--pip-conf $(PIP_CONF)) \
	    $(if $(CA),--ca $(CA)) $(if $(OFFLINE),--offline) $(if $(LOCK),--lock $(LOCK)) $(ARGS)

test-images: $(VENV)/.installed-dev ## Test the images (after `make build`)
	@$(BIN)/python -m pytest -m container tests/container $(ARGS)

push: $(VENV)/.installed    ## Push both images to the ECR repositories REPOSITORY-training and REPOSITORY-inference (ARGS=--dry-run)
	@$(BIN)/facegan cloud push --repository $(REPOSITORY) --variant $(VARIANT) $(ARGS)

lock: $(VENV)/.installed-dev ## Update docker/requirements/*.lock, with hashes
	@$(BIN)/python docker/lock.py --torch-index '$(TORCH_INDEX)' $(ARGS)

wheels:                     ## Download the packages of VARIANT's images to docker/wheels, for a build with OFFLINE=1
	@docker/fetch $(VARIANT)

sbom: $(VENV)/.installed    ## List the packages in the images and their known vulnerabilities, in runs/sbom
	@$(PIP) 'cyclonedx-bom>=7,<8' 'pip-audit>=2.9,<3'
	@$(BIN)/python docker/sbom.py --variant $(VARIANT) $(ARGS)

##— SageMaker local mode (local_test/README.md) —
local-data:                 ## Make toy faces for local_test/train_local.sh with TRAINING_IMAGE
	@local_test/make_data.sh $(TRAINING_IMAGE)

local-test: $(LOCAL)/.installed ## Train on one and two hosts, deploy an endpoint, call it (INSTANCE_TYPE=local_gpu PORT=8081 ARGS="--set preset=toy32")
	@test -d runs/local-mode/data/training || local_test/make_data.sh $(TRAINING_IMAGE) runs/local-mode/data/training
	@$(LOCAL)/bin/python local_test/local_mode.py --training-image $(TRAINING_IMAGE) \
	    --inference-image $(INFERENCE_IMAGE) --instance-type $(INSTANCE_TYPE) --port $(PORT) $(ARGS)
	@$(LOCAL)/bin/python local_test/model_trainer.py --hosts 2 --training-image $(TRAINING_IMAGE) \
	    --instance-type $(INSTANCE_TYPE) $(ARGS)

##— Robustness —
fuzz: $(VENV)/.installed-dev ## Fuzz the server and the decoders for FUZZ_MINUTES
	@$(BIN)/python tests/fuzz/fuzz.py --minutes $(FUZZ_MINUTES) $(ARGS)

broken-pictures: $(VENV)/.installed-dev ## Download Pillow's broken test images (47 MB), for the tests of data preparation
	@version=$$($(BIN)/python -c 'import PIL; print(PIL.__version__)'); \
	test -f "runs/pillow-sdist/pillow-$$version.tar.gz" \
	|| $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
	    --no-binary pillow --dest runs/pillow-sdist "pillow==$$version" \
	|| { echo "Error: Pillow's source distribution could not be fetched (pip says why above): its broken images are NOT tested."; exit 1; } >&2

##— Documentation —
docs: $(VENV)/.installed-docs ## Build the documentation in runs/site (a dead link fails)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)
	@echo runs/site/index.html

test-docs: $(VENV)/.installed-dev ## Run every shell block of the documents, example of --help and printed next step (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m documents -n auto --maxprocesses 4 --dist worksteal tests/documents $(ARGS)

rooms:                      ## Redraw the picture of rooms, after a change to tests/test_rooms.py
	@$(PYTHON) docs/site/draw_rooms.py

##— Before you commit —
lint: $(VENV)/.installed-dev ## Lint, format, types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# `make release` requires the note of the tree that passed.
check: lint test            ## Lint and test, as CI does
	@$(if $(ARGS),,tree=$$(git rev-parse 'HEAD^{tree}' 2>/dev/null) && test -z "$$(git status --porcelain)" \
	    && mkdir -p runs && echo "$$tree" > runs/checked || true)

format: $(VENV)/.installed-dev ## Format the code and fix what the linter can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

##— Release —
release: $(VENV)/.installed-dev ## Update changelog and version, test the wheel in a clean environment, print the tag (VERSION=1.2.3 ARGS=--dry-run)
	@test -n '$(VERSION)' || { echo "Error: which version? make release VERSION=1.2.3"; exit 1; } >&2
	@$(PIP) 'build>=1.2,<2' 'twine>=6,<8'
	@$(BIN)/python .ci/release.py '$(VERSION)' $(ARGS)

##— Other —
clean:                      ## Delete the environments and caches, but not runs/
	rm -rf $(VENV) $(LOCAL) $(STUDIO) .pytest_cache .mypy_cache .ruff_cache build src/*.egg-info

help:                       ## Print this list
	@awk -F':.*## ' '/^##—/ {print "\n" substr($$0, 3)} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

# --- the environment --------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facegan needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@echo "Making the environment in $(VENV) (once; torch is large) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@$(PIP) --editable '.[training,serving-gpu,cloud]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) --editable '.[dev]'
	@$(PIP) --editable '.[container]' || echo "sagemaker-training cannot be built here (it needs Linux and a C compiler): its tests are skipped."
	@touch $@

# In the same environment: the reference of commands is their --help.
$(VENV)/.installed-docs: $(VENV)/.installed
	@$(PIP) --editable '.[docs]'
	@touch $@

# A separate environment: SageMaker's SDK needs older packages than training and serving.
$(LOCAL)/.installed: pyproject.toml
	@echo "Making the environment for SageMaker's SDK in $(LOCAL) (once; about 1 GB) …"
	@$(PYTHON) -m venv $(LOCAL)
	@$(LOCAL)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[local]'
	@touch $@

# A separate environment: Gradio needs an older Pillow.
$(STUDIO)/.installed: pyproject.toml
	@echo "Making the studio's environment in $(STUDIO) (once) …"
	@$(PYTHON) -m venv $(STUDIO)
	@$(STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[studio]'
	@touch $@

$(STUDIO)/.installed-test: $(STUDIO)/.installed
	@echo "… and torch, pytest and Playwright, for its tests …"
	@$(STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[studio,studio-test]'
	@touch $@
