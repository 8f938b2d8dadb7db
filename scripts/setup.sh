#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building Tercet needs from Debian's own packages (Debian 12 or newer, or a
# derivative). Safe to repeat: when nothing is missing it does nothing and needs no rights.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/setup.sh [--runtime-only] [--fuzz] [--arm64]

Installs the Debian packages that Tercet is built with, as root or through sudo.
  --runtime-only   only what `tercet run` and its tests need: no libtorch, no training
  --fuzz           also the compiler of the fuzzers (make fuzz)
  --arm64          also the compiler and the emulator of make test-arm64
TEXT
}

runtime_packages=(
  build-essential cmake ninja-build ccache pkg-config git python3
  libfmt-dev libcli11-dev nlohmann-json3-dev libsentencepiece-dev libpcre2-dev libutf8proc-dev
  libedit-dev zlib1g-dev libzstd-dev
  libgtest-dev libbenchmark-dev
)
# libopenblas-dev: Debian's libtorch takes its f32 matrix products from the system's BLAS, and the
# reference one it would otherwise get is 25 times slower.
learning_packages=(libtorch-dev libgloo-dev libopenblas-dev)

fuzz_packages=(clang-14 libclang-rt-14-dev)

arm64_packages=(g++-aarch64-linux-gnu qemu-user libfmt-dev:arm64 libgtest-dev:arm64)

learning=true
fuzz=false
arm64=false
for argument in "$@"; do
  case "$argument" in
    --runtime-only) learning=false ;;
    --fuzz) fuzz=true ;;
    --arm64) arm64=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
packages=("${runtime_packages[@]}")
if $learning; then packages+=("${learning_packages[@]}"); fi
if $fuzz; then packages+=("${fuzz_packages[@]}"); fi
if $arm64; then packages+=("${arm64_packages[@]}"); fi

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  {
    echo "setup: this system has no apt, so nothing was installed."
    echo "setup: install the equivalents of these Debian packages yourself, then run"
    echo "setup: 'cmake --preset release && cmake --build --preset release':"
    echo "  ${packages[*]}"
  } >&2
  exit 1
fi

installed=$(dpkg-query -W \
  -f '${db:Status-Abbrev} ${Package}\n${db:Status-Abbrev} ${Package}:${Architecture}\n' "${packages[@]}" 2> /dev/null |
  sed -n 's/^ii  *//p' || true)
missing=()
for package in "${packages[@]}"; do
  grep -qx -- "$package" <<< "$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi

echo "setup: installing from Debian's packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    {
      echo "setup: installing system packages needs root, and sudo is not here; run as root:"
      echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    } >&2
    exit 1
  fi
  echo "setup: installing system packages needs root; sudo may ask for your password"
  as_root=(sudo)
fi

if $arm64; then "${as_root[@]}" dpkg --add-architecture arm64; fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
echo "setup: done"
