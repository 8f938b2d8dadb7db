# SPDX-License-Identifier: Apache-2.0
"""`cmake --install`, and a program of others built against what it installs: the example trains with
ternary layers, the library exports its own names only, another libtorch is refused, and the installed
programs find each other.

Environment: BINARY_DIR, the build directory; CMAKE; NM; SOURCE_DIR; TORCH_CMAKE, where libtorch's
CMake files are.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ENV = {name: os.environ[name] for name in
       ("BINARY_DIR", "CMAKE", "NM", "SOURCE_DIR", "TORCH_CMAKE")}
SOURCE = pathlib.Path(ENV["SOURCE_DIR"])


def run(*arguments, **options):
    return subprocess.run([str(a) for a in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=600,
                          check=False, **options)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "prefix"
        cls.must(ENV["CMAKE"], "--install", ENV["BINARY_DIR"], "--prefix", cls.prefix)

    @classmethod
    def must(cls, *arguments, **options):
        result = run(*arguments, **options)
        assert result.returncode == 0, f"{arguments}\n{result.stdout}"
        return result.stdout

    def library(self):
        found = list(self.prefix.rglob("libtercet_bit_linear.so"))
        self.assertEqual(len(found), 1)
        return found[0]

    def configure(self, source, *options):
        build = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        return build, run(ENV["CMAKE"], "-G", "Ninja", "-S", source, "-B", build,
                          f"-DCMAKE_PREFIX_PATH={self.prefix}", *options)

    def test_the_example_trains_with_ternary_layers(self):
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        build, result = self.configure(SOURCE / "examples/bit_linear", *launcher,
                                       f"-DTorch_DIR={ENV['TORCH_CMAKE']}",
                                       "-DCMAKE_CXX_FLAGS_RELEASE=-O1")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.must(ENV["CMAKE"], "--build", build)
        # One thread: on a busy machine two wait for each other most of the time.
        output = self.must(build / "char_transformer", "--steps", 60, cwd=build,
                           env={**os.environ, "OMP_NUM_THREADS": "1"})
        full, ternary = output.split("ternary: 8 layers swapped")
        losses = [[float(x) for x in re.findall(r"loss ([0-9.]+)$", part, re.MULTILINE)]
                  for part in (full, ternary)]
        for curve in losses:
            self.assertEqual(len(curve), 6, output)
            self.assertGreater(curve[0], 5.0)
            self.assertLess(curve[-1], 0.6 * curve[0], output)
        self.assertNotEqual(losses[0], losses[1])
        sizes = re.search(r"packed into (\S+): (\d+) kB of (\d+)", ternary)
        self.assertLess(int(sizes[2]), 0.4 * int(sizes[3]))
        self.assertGreater((build / sizes[1]).stat().st_size, 1000 * int(sizes[2]) * 0.95)

    def test_the_library_exports_its_own_names_only(self):
        names = self.must(ENV["NM"], "-DC", "--defined-only", self.library())
        self.assertIn("tercet::swap_linear_layers", names)
        for foreign in ("tercet::learn", "tercet::packing", "tercet::core", "tercet::fail", " fmt::"):
            self.assertNotIn(foreign, names)

    def test_another_libtorch_is_refused(self):
        other = self.folder / "other"
        other.mkdir()
        (other / "TorchConfig.cmake").write_text("set(Torch_FOUND TRUE)\n")
        (other / "TorchConfigVersion.cmake").write_text(
            'set(PACKAGE_VERSION "9.8.7")\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n')
        project = self.folder / "project"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.18)\nproject(other LANGUAGES NONE)\n"
            "find_package(Tercet REQUIRED)\n")
        _, result = self.configure(project, f"-DTorch_DIR={other}")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("this project uses 9.8.7", " ".join(result.stdout.split()))

    def test_the_programs_find_each_other_and_their_models(self):
        program = self.prefix / "bin/tercet"
        self.assertIn("--preset", self.must(program, "pretrain", "--help", cwd=self.folder))
        self.assertIn("novel-b158.gguf", run(program, "run", cwd=self.folder).stdout)

    def test_licence_and_manual_are_installed(self):
        for name in ("LICENSE", "README.md", "docs/training.md", "docs/library.md",
                     "examples/bit_linear/main.cc"):
            self.assertEqual(len(list((self.prefix / "share/doc").rglob(name))), 1, name)


if __name__ == "__main__":
    unittest.main()
