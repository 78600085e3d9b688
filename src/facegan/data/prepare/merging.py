"""Merges prepared data sets into one, for `facegan data merge`.

Parts of one source (``--shard K --of M``) become, byte for byte, what one machine would have made:
their images return to the order of the source, and duplicates are found across parts. Other data
sets are concatenated.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from facegan.data.prepare.modalities import LabelMapModality, Modality
from facegan.data.prepare.packed_format import (
    DUPLICATES,
    LABELS,
    MANIFEST,
    SKIPPED,
    SOURCES,
    load_labels,
    open_shard,
    read_companions,
    read_lines,
    read_packed,
)
from facegan.data.prepare.pixels import Pixels
from facegan.data.prepare.workspace import (
    FOLDER_HINT,
    find_finished,
    locked_folder,
    remove_leftovers,
)
from facegan.data.prepare.writer import (
    PackedWriter,
    Record,
    companion_facts,
    join_files,
    split_files,
)
from facegan.errors import DatasetError

Position = tuple[int, int]  # number of the data set, index in its source: the sort key of events
# An example: a record per modality, and all pixels if it was written.
Event = tuple[Position, list[Record | None], list[Pixels]]
ModalityEvent = tuple[Position, int, Record, Pixels | None]  # of one modality, by its number
SHARES = ("part", "host")  # K of M: shards of one source, or of the parts given to machines
# The entries of a protocol in which parts may differ.
MAY_DIFFER = (*SHARES, "source", "labels_digest", "companion_sources", "unpaired_source")


def merge(
    parts: Sequence[Path],
    out: Path,
    on_progress: Callable[[int, int | None], object] = lambda done, expected: None,
) -> dict[str, Any]:
    """Merge prepared data sets into a new one; the parts are kept.

    Like :func:`prepare`, it resumes after the last finished shard of a killed merge.

    Args:
        parts: Folders that ``facegan data prepare`` made, or folders of those; a part may have no
            images.
        out: The folder to create.
        on_progress: Called with the number of images done, and expected.

    Returns:
        The manifest.

    Raises:
        DatasetError: a part is missing, duplicate, damaged, or was prepared differently.
    """
    parts = [part for folder in parts for part in parts_in(folder)]
    manifests = [read_packed(folder) for folder in parts]
    places = order_of_parts(parts, manifests)
    manifests, parts = [manifests[k] for k in places], [parts[k] for k in places]
    protocol = common_protocol(parts, manifests)
    if (out / MANIFEST).exists():
        raise DatasetError(f"{out} holds a data set already.", FOLDER_HINT)
    resolution = manifests[0]["resolution"]
    plan = {"resolution": resolution, "merged": [digests_of(manifest) for manifest in manifests]}
    find_finished(out, plan)
    are_parts = "part" in manifests[0]["protocol"]
    expected = sum(manifest["found"] for manifest in manifests)
    with locked_folder(out, plan):
        modalities = modalities_of(parts[0], manifests[0])
        writer = PackedWriter(out, resolution, protocol["images_per_shard"], modalities)
        try:
            streams = [
                example_events(folder, manifest, 0 if are_parts else number)
                for number, (folder, manifest) in enumerate(zip(parts, manifests, strict=True))
            ]
            write_merged(writer, heapq.merge(*streams, key=position_of), on_progress, expected)
            if not writer.counts["written"]:
                remove_leftovers(out)
                raise DatasetError(f"None of the {len(parts)} parts has an image.")
            order = common_classes(manifests, protocol["labels_from"])
            return writer.finish(protocol, order, merge_unaligned(parts, manifests, out))
        finally:
            writer.close()


def position_of(event: Event | ModalityEvent) -> Position:
    """Return the sort key of an event."""
    return event[0]


def digests_of(manifest: dict[str, Any]) -> Any:
    """Return the digest of a data set's pixels, or a list with those of its companions."""
    companions = manifest.get("companions", {}).values()
    own = manifest["digest"]
    return [own, *(facts["digest"] for facts in companions)] if companions else own


def modalities_of(folder: Path, manifest: dict[str, Any]) -> list[Modality]:
    """Return the modalities of a data set."""
    modalities, protocol = [Modality(manifest["name"])], manifest["protocol"]
    for name, (place, its) in read_companions(folder, manifest).items():
        if its.get("channels", 3) == 1:
            names, palette = protocol["label_names"], protocol["palette"]
            modalities.append(
                LabelMapModality(its["name"], name, place.name, names=names, palette=palette)
            )
        else:
            modalities.append(Modality(its["name"], name, place.name))
    return modalities


def merge_unaligned(
    parts: Sequence[Path], manifests: list[dict[str, Any]], out: Path
) -> dict[str, dict[str, Any]]:
    """Merge the unaligned companions, and return their manifest entries.

    Raises:
        DatasetError: not every part has them.
    """
    found = [
        read_companions(folder, manifest, aligned=False)
        for folder, manifest in zip(parts, manifests, strict=True)
    ]
    facts = {}
    for name in sorted({name for companions in found for name in companions}):
        lacking = [
            part for part, companions in zip(parts, found, strict=True) if name not in companions
        ]
        if lacking:
            raise DatasetError(
                f"{lacking[0]} has no {name} images, but other parts do.",
                "Prepare all parts with the same options.",
            )
        places = [companions[name][0] for companions in found]
        folder = out / places[0].name
        # If it exists, this merge wrote it before it was killed: the plan names its digests.
        whole = read_packed(folder) if (folder / MANIFEST).exists() else merge(places, folder)
        facts[name] = companion_facts(folder.name, whole["digest"], is_aligned=False)
    return facts


def parts_in(folder: Path) -> list[Path]:
    """Return the prepared data sets in a folder, by name; the folder itself if it has none."""
    if (folder / MANIFEST).exists() or not folder.is_dir():
        return [folder]
    return sorted(found.parent for found in folder.glob(f"*/{MANIFEST}")) or [folder]


def order_of_parts(parts: Sequence[Path], manifests: list[dict[str, Any]]) -> list[int]:
    """Return the order of the parts, as indices: by their K of ``--shard K``, else as given.

    Raises:
        DatasetError: a K of M is missing or duplicate, or there is nothing to merge.
    """
    if not parts:
        raise DatasetError("There is nothing to merge.", "Name the folders of the parts.")
    kinds = {kind for manifest in manifests for kind in SHARES if kind in manifest["protocol"]}
    if len(kinds) > 1:
        raise DatasetError(
            "Some parts were made with --shard, others by machines that each had part of the "
            "source.",
            "Merge the parts of one run.",
        )
    kind = min(kinds, default="part")
    shares = [manifest["protocol"].get(kind) for manifest in manifests]
    if not any(shares):
        return list(range(len(parts)))
    wanted = max(share[1] for share in shares if share)
    found = sorted(share[0] for share in shares if share and share[1] == wanted)
    if len(found) != len(shares):
        raise DatasetError("These are parts of different data sets.", "Merge the parts of one run.")
    if found != list(range(wanted)):
        missing = sorted(set(range(wanted)) - set(found))
        twice = sorted({k for k in found if found.count(k) > 1})
        problem = f"part {missing[0]} is missing" if missing else f"part {twice[0]} is named twice"
        raise DatasetError(f"Of {wanted} parts, {problem}.", "Name each part's folder once.")
    return sorted(range(len(parts)), key=lambda k: shares[k][0])


def common_protocol(parts: Sequence[Path], manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the protocol that all parts share.

    Raises:
        DatasetError: they were prepared differently, or have splits of different sources.
    """
    first = manifests[0]
    for folder, manifest in zip(parts, manifests, strict=True):
        names = {*first["protocol"], *manifest["protocol"]} - set(MAY_DIFFER)
        for name in ("resolution", *sorted(names)):
            ours = {**first["protocol"], "resolution": first["resolution"]}.get(name)
            its = {**manifest["protocol"], "resolution": manifest["resolution"]}.get(name)
            if ours != its:
                raise DatasetError(
                    f"{folder} was prepared differently from {parts[0]}: {name} is {its!r}, "
                    f"not {ours!r}.",
                    "Prepare all parts with the same options and version.",
                )
        if "splits" in manifest and "part" not in manifest["protocol"]:
            raise DatasetError(
                f"{folder} has splits, but was not prepared with --shard K --of M.",
                "Give every machine the whole source, or leave the splits out.",
            )
    return {name: value for name, value in first["protocol"].items() if name not in SHARES}


def common_classes(
    manifests: list[dict[str, Any]], labels_from: str
) -> Callable[[set[str]], list[str] | None]:
    """Return a function from the classes that have images to the names of all classes.

    A list of classes that all parts share is kept. Classes by folder are those with images.
    """
    lists = [manifest["class_names"] for manifest in manifests if "class_names" in manifest]
    if not lists:
        return lambda seen: None
    if labels_from == "folders" or any(names != lists[0] for names in lists):
        return sorted
    return lambda seen: list(lists[0])


def write_merged(
    writer: PackedWriter,
    events: Iterator[Event],
    on_progress: Callable[[int, int | None], object],
    expected: int,
) -> None:
    """Write the events that a killed merge has not written yet; drop duplicates across parts."""
    names, begun = hashlib.sha256(), writer.position
    first_of: dict[str, str] = {}  # duplicate across parts → the example that is kept
    for index, (_, records, pixels) in enumerate(events):
        for record in records:
            names.update((record["file"] if record else "").encode("utf-8", "surrogatepass"))
            names.update(b"\0")
            if record:
                record["index"] = index
        content = [image.tobytes() for image in pixels]
        digest = hashlib.sha256(b"".join(content)).digest()
        whole = [record for record in records if record]
        if content:
            first = writer.seen.find(digest)
            if first is not None and first != join_files(whole):
                first_of[join_files(whole)] = first
        if index < begun:
            continue
        if content:
            writer.write(whole, content, digest)
        elif whole[0].get("of"):
            kept = "\0".join(record["of"] for record in whole)
            firsts = split_files(first_of.get(kept, kept), len(whole))
            writer.note([{**r, "of": of} for r, of in zip(whole, firsts, strict=True)])
        else:
            writer.note(records)
        writer.advance(index + 1, names.hexdigest())
        on_progress(index + 1, expected)


def example_events(folder: Path, manifest: dict[str, Any], number: int) -> Iterator[Event]:
    """Yield the outcome of every example of a part, in order.

    Raises:
        DatasetError: its modalities do not match.
    """
    places = [(folder, manifest), *read_companions(folder, manifest).values()]
    streams = [modality_events(index, *place, number) for index, place in enumerate(places)]
    together = groupby(heapq.merge(*streams, key=position_of), key=position_of)
    for place, events in together:
        records: list[Record | None] = [None] * len(places)
        pixels: list[Pixels] = []
        for _, index, record, image in events:
            records[index] = record
            pixels += [] if image is None else [image]
        if len(pixels) not in (0, len(places)):
            raise DatasetError(f"{folder}: image {place[1]} lacks a companion.")
        yield place, records, pixels


def modality_events(
    index: int, folder: Path, manifest: dict[str, Any], number: int
) -> Iterator[ModalityEvent]:
    """Yield the outcome of every image of one modality of a part, in order."""
    dropped: list[Iterator[ModalityEvent]] = [
        (((number, record["index"]), index, record, None) for record in read_lines(folder / name))
        for name in (SKIPPED, DUPLICATES)
    ]
    return heapq.merge(written_events(index, folder, manifest, number), *dropped, key=position_of)


def written_events(
    index: int, folder: Path, manifest: dict[str, Any], number: int
) -> Iterator[ModalityEvent]:
    """Yield the written images of a part, with the names of their labels and splits.

    Raises:
        DatasetError: the list of names is shorter than the shards.
    """
    classes = manifest.get("class_names")
    labels = load_labels(folder / LABELS) if classes is not None else None
    records = read_lines(folder / SOURCES)
    position = 0
    for shard in manifest["shards"]:
        size = manifest["resolution"], manifest.get("channels", 3)
        for pixels in open_shard(folder / shard["file"], shard["images"], *size):
            record = next(records, None)
            if record is None:
                raise DatasetError(f"{folder / SOURCES} names too few images.")
            if classes is not None and labels is not None:
                record["label"] = classes[labels[position]]
            for split, (start, stop) in manifest.get("splits", {}).items():
                if start <= position < stop:
                    record["split"] = split
            yield (number, record["index"]), index, record, pixels
            position += 1
