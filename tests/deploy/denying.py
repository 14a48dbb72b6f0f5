"""Runs a program that may never execute memory it has written: `python denying.py PROGRAM ARGUMENTS...`.

As MemoryDenyWriteExecute= does; what is set stays set over exec (Linux 6.3, include/uapi/linux/prctl.h). Exit code 77
where the kernel knows no such thing.
"""

import ctypes
import os
import sys

PR_SET_MDWE = 65
REFUSE_EXEC_GAIN = 1

if __name__ == "__main__":
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        sys.exit(77)
    os.execv(sys.argv[1], sys.argv[1:])
