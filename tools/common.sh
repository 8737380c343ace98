# common.sh: what every script of the house uses. Sourced; `root` is the checkout.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${BRINDLE_JOBS:-$(nproc)}

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    die "'$*' needs root, and there is no sudo: run it as root, then this again"
  fi
}

# install_packages LIST...: the Debian packages of packaging/LIST-packages.txt that are not installed yet.
install_packages() {
  local list package missing=()
  for list in "$@"; do
    while read -r package _; do
      case $package in '' | '#'*) continue ;; esac
      [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
    done < "$root/packaging/$list-packages.txt"
  done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get > /dev/null || die "missing: ${missing[*]}; this is no Debian, so install their like yourself"
  say "Installing from Debian: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null ||
    die "apt-get could not install ${missing[*]}"
}

# configure FOLDER [CMAKE OPTION...]: a build folder; what was configured before keeps its other options.
configure() {
  local folder=$root/$1
  shift
  local launcher=()
  command -v ccache > /dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  export CCACHE_SLOPPINESS=pch_defines,time_macros # else it leaves alone what uses precompiled headers
  mkdir -p "$folder"
  cmake -G Ninja -S "$root" -B "$folder" "${launcher[@]}" "$@" > "$folder/configure.log" 2>&1 || {
    cat "$folder/configure.log" >&2
    die "cmake failed"
  }
}

# build FOLDER [TARGET...]
build() {
  local folder=$root/$1
  shift
  ninja -C "$folder" -j "$jobs" --quiet "$@"
}
