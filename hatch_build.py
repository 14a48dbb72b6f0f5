"""What a wheel carries besides the packages: the kernel, compiled ahead of time for the machine that builds it.

Its wheel says for which Python and processor it is. Where the kernel cannot be compiled the wheel is built without it,
for any machine, and that is said: such a box compiles at each start. An editable install is left alone (`make kernel`).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelHook(BuildHookInterface[Any]):
    """Puts the kernel's extension into the wheel."""

    _folder: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernel in a process of its own; `version` is "standard" or "editable"."""
        if version != "standard":
            return
        self._folder = tempfile.mkdtemp(prefix="veilleur-wheel-")
        command = [sys.executable, str(Path(self.root) / "kernel_build.py"), self._folder]
        built = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own file
        if built.returncode != 0:
            self.app.display_warning(built.stderr.strip())
            self.app.display_warning("This wheel is for any machine, and its boxes compile the kernel at each start.")
            return
        (extension,) = Path(self._folder).iterdir()
        build_data["force_include"][str(extension)] = f"alerting/{extension.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clear away what `initialize` compiled."""
        if self._folder is not None:
            shutil.rmtree(self._folder)
