# SPDX-License-Identifier: Apache-2.0
"""Ranks as processes of a test, which does what launchers do.

Environment: TERCET, the path of the program.
"""

import os
import pathlib
import socket
import subprocess
import unittest

from pretrain_support import TERCET

# The order of sums, hence the last bits, depends on the number of threads, which is that of cores
# where a run moves to another number of ranks.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

HELD_PORTS = []


def start(*arguments, **variables):
    return subprocess.Popen([TERCET, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env={**os.environ, **variables})


def finish(process):
    """(exit status, its output)"""
    output = "".join(process.communicate(timeout=120))
    return process.returncode, output


def free_port():
    """A port that stays bound here, so that the system gives it to nobody else; a rank that lets
    addresses be used again can still listen there."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    HELD_PORTS.append(probe)
    return str(probe.getsockname()[1])


def torchrun_variables(rank, ranks, port):
    return {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port}


def children(process):
    if not pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        raise unittest.SkipTest("this kernel does not list children")
    task = f"/proc/{process.pid}/task/{process.pid}/children"
    return [int(word) for word in pathlib.Path(task).read_text().split()]
