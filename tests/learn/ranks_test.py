# SPDX-License-Identifier: Apache-2.0
"""Training on several ranks by the command line: that they reach what one process reaches, that
checkpoints move between numbers of ranks, and that all end well when one is lost or stopped.

Environment: TERCET, the path of the program.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from pretrain_test import RECIPE, TERCET, corpus_text, run

# Names of variables that would make a rank of this test's processes.
LAUNCHERS = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID",
             "SLURM_NTASKS", "MASTER_ADDR", "MASTER_PORT")
