"""Programs that some tests use and that a machine may lack."""

import os
import shutil

import pytest


def needs(*programs: str) -> None:
    """Skips the test where one of the programs is not installed; in CI that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        assert "FORKKV_TEST_ALL" not in os.environ, f"not installed: {missing}"
        pytest.skip(f"needs {', '.join(missing)}")
