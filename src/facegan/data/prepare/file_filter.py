"""Decides which files are ignored: hidden files and by-products of programs, facegan's included.

Folders, archives and S3 share one rule, which looks at names only. Deleted files in a recycle bin
and an editor's backup copies must not be trained on.
"""

import re

from facegan.data.prepare.skip_report import IgnoredFiles
from facegan.image_files import NOT_IMAGES, has_image_suffix, is_image_head, suffix_of

MANIFEST = "dataset.json"
RUN_FILE, RUN_IMAGES = "run.json", "samples"  # in a folder that `facegan train` made
SAMPLES_OF_A_RUN = "samples of a run"
FOLDED = (  # whole names of files and folders, in lower case
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
    *("wandb", "mlruns", "lightning_logs"),  # training tools, with sample grids
)
NAMES = frozenset(FOLDED)
STARTS = ("~$", "~syncthing~")  # Office locks, Syncthing downloads
ENDS = (  # of names in lower case
    *("~", ".bak", ".orig", ".swp", ".swo", ".tmp", ".temp"),  # editors
    *(".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart"),  # downloads
    *(".aria2", ".!ut", ".!qb", ".icloud"),
    *(".sagemaker-uploaded", ".sagemaker-uploading"),  # SageMaker's marks on checkpoints
    *(".lrdata", ".lrcat-data"),  # Lightroom's previews
)
PATTERNS = {  # label in the report → names
    "*_original": re.compile(r"\.\w{2,5}_original$"),  # ExifTool's backups
    "*.sync-conflict-*": re.compile(r"\.sync-conflict-\d{8}-"),
    "* conflicted copy *": re.compile(r"\([^)]*conflicted copy[^)]*\)"),
    "found.*": re.compile(r"^found\.\d{3}$"),  # chkdsk
    "*.partial-*": re.compile(r"\.partial-"),  # our own unfinished data sets
}


def by_product(name: str) -> str:
    """Return the label of a file or folder that is ignored because of its name; else ""."""
    if not name or name in (".", "..") or name.startswith("..\\"):
        return ""  # paths that leave an archive are reported as such
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
    """Decides for each file of a source whether it is read, and counts the rest.

    Args:
        everything: Whether hidden files and by-products are read too.
    """

    def __init__(self, everything: bool = False) -> None:
        self.everything, self.ignored = everything, IgnoredFiles()
        self.runs = set[str]()  # folders that hold a run.json, with a slash at the end

    def note_run(self, name: str) -> None:
        """Remember the folder of a run.json: the run's samples are by-products."""
        folder, _, last = name.rpartition("/")
        if last == RUN_FILE:
            self.runs.add(folder)

    def by_product_of(self, name: str) -> str:
        """Return the label of a path that is a by-product; else ""."""
        parts = name.split("/")
        for depth, part in enumerate(parts):
            if label := by_product(part):
                return label
            is_inside = part == RUN_IMAGES and depth < len(parts) - 1
            if is_inside and "/".join(parts[:depth]) in self.runs:
                return SAMPLES_OF_A_RUN
        return ""

    def takes(self, name: str, head: bytes | None = None) -> bool:
        """Return whether a file is read: its name or its first bytes say that it is an image.

        Args:
            name: Its path below the source, with slashes.
            head: Its first bytes. None if only the whole file can be read: then a file is read
                if it has no suffix.
        """
        self.note_run(name)
        if not self.everything and (label := self.by_product_of(name)):
            self.pass_over(label)
            return False
        return has_image_suffix(name) or self.takes_head(name, head)

    def takes_head(self, name: str, head: bytes | None) -> bool:
        """Return the same for a file that is not a by-product and has no image suffix."""
        kind = suffix_of(name)
        if is_image_head(head) and kind not in NOT_IMAGES if head is not None else not kind:
            return True
        if name.rpartition("/")[2] == MANIFEST:
            self.ignored.manifests.add(name)
        else:
            self.ignored.others[kind or "without a suffix"] += 1
        return False

    def needs_head(self, name: str) -> bool:
        """Return whether the first bytes of a file decide."""
        return not has_image_suffix(name) and (self.everything or not self.by_product_of(name))

    def pass_over(self, label: str, files: int = 1) -> None:
        """Count by-products."""
        if files:
            self.ignored.by_products[label] += files
