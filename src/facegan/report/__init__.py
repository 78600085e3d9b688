"""Writes one self-contained HTML page about a training run."""

from facegan.report.neighbours import RealImages
from facegan.report.page import find_real_images, write_report
from facegan.report.run_record import RunRecord, kimg_text, read_run

__all__ = ["RealImages", "RunRecord", "find_real_images", "kimg_text", "read_run", "write_report"]
