"""Training jobs: one not started, and one finished through the toolkit."""

from pathlib import Path

import pytest
from training_job import Job, make_job


@pytest.fixture
def job(images_dir: Path, tmp_path: Path) -> Job:
    """A job that has not been started."""
    return make_job(images_dir, tmp_path / "ml")


@pytest.fixture(scope="session")
def finished(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """A job that ran to its end through the toolkit, and what it said; not to be changed."""
    job = make_job(images_dir, tmp_path_factory.mktemp("job") / "ml")
    code, message = job.run()
    assert code == 0, message
    return job, message
