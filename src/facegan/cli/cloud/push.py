"""`facegan cloud push` and `remove-images`: the images to ECR, by digest; and away again."""

import os

import click

from facegan import __version__
from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cli.cloud.progress import amount_of
from facegan.cloud.registry import creation, local_tags, push_image, removal, stored
from facegan.docker_engine import Docker
from facegan.errors import CloudError

IMAGES = ("training", "inference")
MONTHLY = 0.10  # $ a stored GB in ECR, when this was written
repository_option = click.option(
    "--repository", metavar="NAME", help="NAME-training, NAME-inference.  [default: facegan]"
)


@click.command("push")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Also call them so there.")
@click.option(
    "--variant",
    type=click.Choice(["cuda", "cpu"]),
    help="This version's images of that kind.  [default: what was built last]",
)
@repository_option
@acting_options
def command(desk: Desk, tags: tuple[str, ...], variant: str | None, repository: str | None) -> None:
    """Push both images that `make build` made, under their version and commit.

    Repositories that are missing are made, with scanning and a rule that deletes old images. ECR
    costs by the stored GB ($0.10 a month where this was written; the CUDA images are 5 to 8 GB).
    To take it down: facegan cloud remove-images.

    \b
      facegan cloud push
      facegan cloud push --variant cpu --tag 2026-11
      facegan cloud push --dry-run
    """
    settings = desk.settings.but(repository=repository)
    prefix, labels = settings.repository, settings.all_tags
    if desk.is_dry:
        desk.act([call for it in IMAGES for call in creation(f"{prefix}-{it}", labels)], "")
        return
    docker = Docker(os.environ)
    docker.check()
    last = {None: "local", "cuda": __version__, "cpu": f"{__version__}-cpu"}[variant]
    names = {image: f"facegan-{image}:{last}" for image in IMAGES}
    for name in names.values():
        docker.check_architecture(name)
    down = "To take it down: facegan cloud remove-images."
    desk.confirm(
        f"Push to {prefix}-training and {prefix}-inference? ECR costs about ${MONTHLY:.2f} a GB "
        f"and month. {down}"
    )
    pushed = {}
    for image, name in names.items():
        wanted = [*local_tags(docker, name), *tags] or ["latest"]
        desk.say(f"  {name} as {', '.join(wanted)} …")
        place = f"{prefix}-{image}"
        pushed[image] = push_image(docker, desk.aws, name, place, wanted, labels)
    desk.answer(pushed, "\n".join(pushed.values()))


@click.command("remove-images")
@click.option(
    "--keep", type=click.IntRange(0), default=0, metavar="N", help="Leave the newest N of each."
)
@repository_option
@acting_options
def remove_images(desk: Desk, keep: int, repository: str | None) -> None:
    """Delete the images in ECR, and their repositories; lists first and asks.

    An endpoint needs its image whenever an instance starts: delete endpoints first. With --keep,
    the repositories stay. --dry-run asks AWS what is there, and deletes nothing.

    \b
      facegan cloud remove-images
      facegan cloud remove-images --keep 3
    """
    prefix = desk.settings.but(repository=repository).repository
    calls = []
    for image in IMAGES:
        found = stored(desk.aws, f"{prefix}-{image}")
        if found is None:
            desk.say(f"There is no repository {prefix}-{image}.")
            continue
        desk.say(f"{found.name}: {len(found.images)} images, {amount_of(found.size)}")
        for number, one in enumerate(found.images):
            tags = ", ".join(sorted(one.get("imageTags", ()))) or "no tag"
            fate = "stays" if number < keep else "goes"
            desk.say(f"  {fate}  {one['imageDigest'][:19]}  {tags}")
        calls += removal(found, keep)
    told = [call.on for call in calls]
    if not calls:
        desk.answer({"deleted": []}, "Nothing to delete.")
        return
    answers = desk.act(calls, f"Delete {', '.join(told)}?")
    if answers is None:
        return
    for call, answer in zip(calls, answers, strict=True):
        for failure in answer.get("failures", ())[:1]:
            reason = f"{failure.get('failureCode')}: {failure.get('failureReason')}"
            raise CloudError(f"ECR kept some of {call.on}: {reason}.", "Give it again.")
    desk.answer({"deleted": told}, f"Deleted: {', '.join(told)}.")
