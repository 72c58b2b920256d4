"""The one extension module: every C file of the table, the wire and the binding.

Warnings are errors when FORKKV_DEV is set, as the Makefile does.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

FOLDERS = ("shm", "forkkv/wire", "forkkv/binding")


def files(pattern: str) -> list[str]:
    return sorted(str(path) for folder in FOLDERS for path in Path(folder).glob(pattern))


WARNINGS = ["-Wall", "-Wextra", "-Werror"] if os.environ.get("FORKKV_DEV") else []

setup(
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    ext_modules=[
        Extension(
            "forkkv._core",
            files("*.c"),
            depends=files("*.h"),
            include_dirs=list(FOLDERS),
            define_macros=[("_GNU_SOURCE", None), ("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-std=c11", "-O2", "-pthread", "-fvisibility=hidden", *WARNINGS],
            extra_link_args=["-pthread"],
            py_limited_api=True,
        )
    ],
)
