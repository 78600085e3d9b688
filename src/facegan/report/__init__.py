"""One HTML page about a training run, which needs nothing but itself to be looked at."""

from facegan.report.neighbours import Reals
from facegan.report.page import find_reals, write_report
from facegan.report.run_record import RunRecord, kimg_text, read_run

__all__ = ["Reals", "RunRecord", "find_reals", "kimg_text", "read_run", "write_report"]
