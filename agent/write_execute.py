"""Whether this process may make memory executable that it has written, and what judges where it may not.

The unit on a box forbids it (MemoryDenyWriteExecute): what an attacker writes must never run. Numba, which compiles
the kernel at start where none was compiled ahead of time, lives from exactly that and would end in a stack trace
of its own. So before anything imports the kernel, the box looks, and refuses to start with a sentence instead.

Not here: why there is no kernel compiled ahead of time (`alerting.extension`).
"""

import mmap

from agent.errors import AgentError
from alerting.alert import Sentence
from alerting.extension import ExtensionError, extension


class KernelError(AgentError):
    """Nothing can judge in this process."""


def is_denied() -> bool:
    """Return whether memory that is both writable and executable is refused, by systemd's filter or by the kernel."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except PermissionError:
        return True
    return False


def require_a_kernel_that_runs() -> None:
    """Return when what judges can run in this process.

    Raises:
        KernelError: it would have to be compiled at start, where that is forbidden.
    """
    if not is_denied():
        return
    try:
        extension()
    except ExtensionError as error:
        raise KernelError(
            Sentence(
                fr=f"Le noyau qui juge ne peut pas être compilé au démarrage sous ce service protégé "
                f"(MemoryDenyWriteExecute), et {error.why.fr}.",
                en=f"The kernel that judges cannot be compiled at start under this hardened unit "
                f"(MemoryDenyWriteExecute), and {error.why.en}.",
            ),
            Sentence(
                fr="Installer le wheel fait pour cette sorte de machine (make wheel, docs/kernel.md), puis redémarrer.",
                en="Install the wheel made for this kind of machine (make wheel, docs/kernel.md), then restart.",
            ),
        ) from error
