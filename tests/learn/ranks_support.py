# SPDX-License-Identifier: Apache-2.0
"""Ranks as processes of a test, which does what launchers do.

Environment: TERCET, the path of the program.
"""

import os
import pathlib
import socket
import subprocess

from pretrain_support import TERCET

# What would make a rank of this test's processes.
LAUNCHERS = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID",
             "SLURM_NTASKS", "MASTER_ADDR", "MASTER_PORT")
BARE = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}


def start(*arguments, **variables):
    return subprocess.Popen([TERCET, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env={**BARE, **variables})


def finish(process):
    """(exit status, its output)"""
    output = "".join(process.communicate(timeout=120))
    return process.returncode, output


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def torchrun_variables(rank, ranks, port):
    return {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port}


def children(process):
    task = f"/proc/{process.pid}/task/{process.pid}/children"
    return [int(word) for word in pathlib.Path(task).read_text().split()]
