"""Hints for unknown hyperparameters: other projects' names, and the same settings' names here."""

from collections.abc import Iterator, Sequence
from typing import Any

from facegan.errors import ConfigError, did_you_mean, normalize_name

OF_EPOCHS = (
    "epoch epochs n_epochs nepoch nepochs num_epochs max_epochs train_epochs num_train_epochs"
)
OF_STEPS = (
    "step steps n_steps num_steps max_steps train_steps iter iters niter n_iter max_iter max_iters "
    "iteration iterations n_iterations num_iterations max_iterations"
)
EPOCHS, STEPS = frozenset(OF_EPOCHS.split()), frozenset(OF_STEPS.split())
# (our name, explanation) → other trainers' names. Only names that the run has are suggested;
# "*gamma*" stands for all of its names that contain "gamma".
MEANT: dict[tuple[str, str], str] = {
    ("total_kimg", "It counts thousands of images shown to the discriminator."): "kimg n_kimg "
    "duration total_images max_images",
    ("*learning_rate*", ""): "lr learning_rate learningrate lrate rate base_lr init_lr max_lr "
    "glr dlr g_lr d_lr lr_g lr_d generator_lr discriminator_lr",
    ("processes", "It is how many processes, one per GPU, share the run."): "gpus n_gpus ngpus "
    "num_gpus gpu_count nproc nproc_per_node num_processes n_processes world_size devices",
    ("device", "It takes auto, cpu, cuda or cuda:1."): "gpu gpu_id gpu_ids cuda cpu use_cuda "
    "no_cuda accelerator",
    ("batch_size", "It counts the images of one step, over all GPUs."): "batch bs batches "
    "batchsize minibatch mini_batch minibatch_size train_batch_size",
    (
        "micro_batch",
        "It counts the images that each process computes at once; batch_size is the whole batch.",
    ): "batch_gpu microbatch micro_batch_size per_device_train_batch_size "
    "gradient_accumulation_steps gradient_accumulation grad_accum accumulation_steps accumulate",
    ("resolution", "It is the side of the square images in pixels."): "size image_size img_size "
    "imgsize imsize image_resolution res px pixels side height crop_size load_size",
    ("data", "It is the folder of images."): "dataset data_dir datadir data_root dataroot "
    "data_path dataset_path input input_dir images images_dir img_dir folder source train "
    "train_dir train_data training_data",
    ("out", "It is the folder that the run makes."): "output output_dir outdir out_dir output_path "
    "save_dir savedir save_path logdir log_dir results results_dir result_dir run run_dir "
    "model_dir workdir exp_dir",
    (
        "resume",
        "facegan train --out RUN --resume continues the run in the folder RUN.",
    ): "checkpoint "
    "checkpoints ckpt ckpt_path resume_from resume_from_checkpoint restore load load_model "
    "pretrained weights init_from",
    ("preset", "A family and a preset choose the networks."): "model model_name arch architecture "
    "backbone config cfg network gan type",
    ("latent_dim", ""): "z_dim zdim nz latent latent_size latents noise_dim z",
    ("conv_dim", ""): "ngf ndf nf base_channels channels filters",
    ("*gamma*", ""): "gamma r1 r1_weight r1_reg gp gp_weight gradient_penalty",
    ("augment", "It takes operations, as color,translation,cutout."): "aug augs augmentation "
    "augmentations augpipe ada diffaug diff_augment diffaugment data_augmentation",
    ("mirror", "It takes on or off."): "flip hflip xflip x_flip mirror_augment mirrored "
    "random_flip horizontal_flip random_horizontal_flip",
    ("augment_probability", ""): "p aug_p augment_p augment_prob aug_prob",
    ("augment_target", ""): "ada_target",
    ("tick_kimg", "It is how often a log line, a grid and a checkpoint are written."): "tick snap "
    "save_every save_freq save_interval checkpoint_every checkpoint_interval log_every "
    "log_interval sample_interval sample_every print_every",
    ("keep_checkpoints", ""): "save_total_limit keep keep_last max_checkpoints",
    ("precision", "It takes auto, bf16 or fp32."): "amp fp16 bf16 fp32 half dtype mixed_precision",
    (
        "conditional",
        "conditional=true learns the classes; labels says where they are read.",
    ): "cond classes num_classes n_classes class_conditional conditioning label",
    ("ema_half_life_kimg", ""): "ema ema_decay ema_kimg ema_beta use_ema",
    ("max_minutes", ""): "minutes hours max_hours time time_limit max_time timeout",
    ("evaluate_kimg", "It is how often the run is measured."): "metric metrics fid kid eval "
    "eval_every eval_interval eval_freq evaluate fid_every",
    (
        "evaluate_data",
        "",
    ): "val val_data val_dir validation validation_data test test_data eval_data",
    ("seed", ""): "random_seed manual_seed random_state rng_seed",
    ("compile", ""): "torch_compile",
    ("", "Images are decoded once, by all cores: leave it out."): "workers num_workers n_workers "
    "dataloader_workers n_cpu num_threads threads prefetch pin_memory",
}
FAR = "facegan train --help lists them; --family and --preset choose whose."
ALIASES = {word: meant for meant, words in MEANT.items() for word in words.split()}


def unknown_hyperparameter(
    name: str,
    known: Sequence[str],
    value: Any = None,
    images: int | None = None,
    batch: Any = None,
) -> ConfigError:
    """Return the error for an unknown hyperparameter, with what to write instead.

    Args:
        name: The unknown name.
        known: The known names.
        value: Its value.
        images: Number of images in the data set, if known.
        batch: Number of images per step, if known.
    """
    message, word = f"Unknown hyperparameter {name!r}.", normalize_name(name)
    target, why = ALIASES.get(word, ("", ""))
    if word in EPOCHS | STEPS:
        target, why = "total_kimg", length_hint(word, value, images, batch)
    meant = list(names_like(target, known))
    if word in known or not (meant or why):
        hint = did_you_mean(name, known)
        return ConfigError(message, hint if hint.startswith("Did you mean") else FAR)
    offer = f"Did you mean {' or '.join(meant)}?" if meant else ""
    return ConfigError(message, f"{offer} {why}".strip())


def names_like(target: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the known names that a target stands for."""
    core = target.strip("*")
    for name in dict.fromkeys(known):
        if name == target or (core != target and core in name):
            yield name


def length_hint(word: str, value: Any, images: int | None, batch: Any) -> str:
    """Return how to write epochs or steps as total_kimg, with numbers if they are known."""
    what, per, factor = "epochs", "images of the data set", images
    if word in STEPS:
        what, per, factor = "steps", "batch_size", whole(batch)
    count = whole(value)
    if not factor or not count:
        return f"It counts thousands of images: {what} x {per} / 1000."
    each = f"of {factor:,} images" if what == "epochs" else f"in batches of {factor}"
    kimg = f"{count * factor / 1000:g}"
    return f"It counts thousands of images: {count:,} {what} {each} are total_kimg {kimg}."


def whole(value: Any) -> int | None:
    """Return a whole number above 0; None for anything else."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number >= 1 and number.is_integer() else None
