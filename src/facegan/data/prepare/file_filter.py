"""Which files are never data: hidden ones, and by-products of programs, facegan's own among them.

One rule, by names alone, for plain folders, archives and S3. What somebody has thrown away must not
be trained on, and an editor's copies are nobody's data.
"""

import re

from facegan.data.prepare.skip_report import IgnoredFiles
from facegan.image_files import NOT_IMAGES, has_image_suffix, is_image_head, suffix_of

MANIFEST = "dataset.json"
RUN_FILE, RUN_IMAGES = "run.json", "samples"  # of a folder that `facegan train` made
SAMPLES_OF_A_RUN = "samples of a run"
FOLDED = (  # whole names of files and folders, without regard to case
    *("__macosx", "__pycache__", "lost+found", "node_modules", "site-packages"),
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
    *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
    *("temporary items", "network trash folder", "thevolumesettingsfolder"),  # macOS, on shares
    *(
        "@eadir",
        "@tmp",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@__thumb",
    ),  # Synology, QNAP
    *("#recycle", "#snapshot", "~snapshot"),
    *("wandb", "mlruns", "lightning_logs"),  # of training tools: sample grids
)
NAMES = frozenset(FOLDED)
STARTS = ("~$", "~syncthing~")  # locks of Office, downloads of Syncthing
ENDS = (  # of names without regard to case
    *("~", ".bak", ".orig", ".swp", ".swo", ".tmp", ".temp"),  # editors
    *(".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart"),  # downloads
    *(".aria2", ".!ut", ".!qb", ".icloud"),
    *(".sagemaker-uploaded", ".sagemaker-uploading"),  # SageMaker's marks on checkpoints
    *(".lrdata", ".lrcat-data"),  # Lightroom's previews
)
PATTERNS = {  # what a line says → names
    "*_original": re.compile(r"\.\w{2,5}_original$"),  # ExifTool's backups
    "*.sync-conflict-*": re.compile(r"\.sync-conflict-\d{8}-"),
    "* conflicted copy *": re.compile(r"\([^)]*conflicted copy[^)]*\)"),
    "found.*": re.compile(r"^found\.\d{3}$"),  # of chkdsk
    "*.partial-*": re.compile(r"\.partial-"),  # an unfinished data set of ours
}


def by_product(name: str) -> str:
    """What to call a file or folder that is passed over, by its own name; empty if it is not."""
    if not name or name in (".", "..") or name.startswith("..\\"):
        return ""  # paths that leave an archive are told as such
    folded = name.lower()
    if name[0] == ".":
        return "._*" if name.startswith("._") else name
    if folded in NAMES:
        return name
    if folded.startswith(STARTS):
        return next(start for start in STARTS if folded.startswith(start)) + "*"
    if folded.endswith(ENDS):
        return "*" + next(end for end in ENDS if folded.endswith(end))
    return next((label for label, pattern in PATTERNS.items() if pattern.search(folded)), "")


class FileFilter:
    """Decides of the files of a source, one after another, which are looked into; counts the rest.

    Args:
        everything: Whether hidden files and by-products are looked into, too.
    """

    def __init__(self, everything: bool = False) -> None:
        self.everything, self.ignored = everything, IgnoredFiles()
        self.runs = set[str]()  # folders that hold a run.json, with a slash at the end

    def note_run(self, name: str) -> None:
        """Remember a run's folder, given any file's name: its samples are by-products."""
        folder, _, last = name.rpartition("/")
        if last == RUN_FILE:
            self.runs.add(folder)

    def by_product_of(self, name: str) -> str:
        """The part of a path that makes it a by-product; empty where none does."""
        parts = name.split("/")
        for depth, part in enumerate(parts):
            if label := by_product(part):
                return label
            is_inside = part == RUN_IMAGES and depth < len(parts) - 1
            if is_inside and "/".join(parts[:depth]) in self.runs:
                return SAMPLES_OF_A_RUN
        return ""

    def takes(self, name: str, head: bytes | None = None) -> bool:
        """Whether a file is looked into: it is an image by its name or its first bytes.

        Args:
            name: Its path below the source, parts joined by "/".
            head: Its first bytes; None where they cannot be had before the whole is read: then
                whatever has no suffix is looked into.
        """
        self.note_run(name)
        if not self.everything and (label := self.by_product_of(name)):
            self.pass_over(label)
            return False
        return has_image_suffix(name) or self.takes_head(name, head)

    def takes_head(self, name: str, head: bytes | None) -> bool:
        """The same of a file that is no by-product, and not called an image."""
        kind = suffix_of(name)
        if is_image_head(head) and kind not in NOT_IMAGES if head is not None else not kind:
            return True
        if name.rpartition("/")[2] == MANIFEST:
            self.ignored.manifests.add(name)
        else:
            self.ignored.others[kind or "without a suffix"] += 1
        return False

    def needs_head(self, name: str) -> bool:
        """Whether the first bytes of a file decide."""
        return not has_image_suffix(name) and (self.everything or not self.by_product_of(name))

    def pass_over(self, label: str, files: int = 1) -> None:
        """Count by-products."""
        if files:
            self.ignored.by_products[label] += files
