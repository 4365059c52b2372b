#!/bin/sh
# Prepare this checkout: a virtual environment in .venv with the Python packages, and the apt packages
# that are missing.  Usage: scripts/bootstrap.sh demo|test
#
# As root the apt packages are installed; otherwise by sudo, after the line has been printed. Where that
# cannot be, the line is printed and the exit code is 7. A second run with nothing to do takes no time.
set -eu

cd "$(dirname "$0")/.."
checkout=$(pwd)
profile=${1:-test}
case $profile in
demo) extras= ;;
test) extras='[dev]' ;;
*)
    echo "usage: $0 demo|test" >&2
    exit 2
    ;;
esac

say() { printf 'mcugen: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 7
}
quietly() { "$@" >/dev/null 2>&1; }

# --- Which tools are missing: each is tried, not looked up, so one from elsewhere than apt is as good. ---

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if quietly "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$candidate"
            return
        fi
    done
}

compiles() { # LANGUAGE COMPILER ARGUMENT...: a program is compiled and linked
    language=$1
    shift
    printf 'int main(void) { return 0; }\n' | quietly "$@" -x "$language" - -o /dev/null
}

finds_headers() { # COMPILER ARGUMENT...: a cross compiler has its C library
    printf '#include <string.h>\n' | quietly "$@" -E -xc -
}

missing_packages() { # one or two a line
    if [ -z "$python" ]; then
        echo python3 python3-venv
    elif ! quietly "$python" -c 'import ensurepip, venv'; then
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    fi
    { compiles c gcc && { [ "$profile" = demo ] || compiles c++ g++; }; } || echo build-essential
    finds_headers arm-none-eabi-gcc --specs=nano.specs -mcpu=cortex-m4 || echo gcc-arm-none-eabi libnewlib-arm-none-eabi
    quietly qemu-system-arm --version || echo qemu-system-arm
    [ "$profile" = test ] || return 0
    compiles c clang -fsanitize=address,undefined || clang_packages
    quietly cppcheck --version || echo cppcheck
    quietly cmake --version || echo cmake
    finds_headers riscv64-unknown-elf-gcc --specs=picolibc.specs -march=rv32imc -mabi=ilp32 ||
        echo gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf
    quietly qemu-system-riscv32 --version || qemu_riscv_package
}

clang_packages() { # the sanitizers' libraries are a package of their own, named by clang's version
    echo clang
    apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p'
}

qemu_riscv_package() { # part of qemu-system-misc up to Debian 12 and Ubuntu 24.04
    if [ -n "$(apt-cache --quiet=2 search --names-only '^qemu-system-riscv$' 2>/dev/null)" ]; then
        echo qemu-system-riscv
    else
        echo qemu-system-misc
    fi
}

# --- apt ---

install_packages() { # [sudo]
    "$@" apt-get update || say "apt-get update failed; trying with the lists that are there"
    packages=$(missing_packages | tr '\n' ' ') # with fresh lists the names may be others
    # shellcheck disable=SC2086 # a list of words
    "$@" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages
}

python=$(find_python)
packages=$(missing_packages | tr '\n' ' ')
packages=${packages% }
if [ -n "$packages" ]; then
    line="apt-get update && apt-get install --yes --no-install-recommends $packages"
    say "missing: $packages"
    quietly command -v apt-get || fail "there is no apt-get here: please install these in your system's way"
    if [ "$(id -u)" = 0 ]; then
        say "running: $line"
        install_packages || fail "apt-get could not install them; see above"
    else
        line="sudo apt-get update && sudo ${line#*&& }"
        if quietly command -v sudo && { quietly sudo -n true || [ -t 0 ]; }; then
            say "running: $line"
            install_packages sudo || fail "that did not work; run it yourself, then try again"
        else
            say "please run this as a user who may, then try again:"
            fail "  $line"
        fi
    fi
    python=$(find_python)
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$python" ] || fail "Python 3.11 or newer is needed; this system's packages are older"
    [ -z "$packages" ] || fail "still missing after the installation: $packages"
fi

# --- The virtual environment, renewed when pyproject.toml or the checkout's place has changed ---

stamp=$(printf '%s %s' "$checkout" "$(cksum <pyproject.toml)")
ready=.venv/mcugen-ready

is_ready() { [ -f "$ready-$1" ] && [ "$(cat "$ready-$1")" = "$stamp" ] && quietly .venv/bin/python --version; }

if ! is_ready test && ! is_ready "$profile"; then
    say "installing the Python packages into .venv (once, some hundred megabytes)"
    # A moved checkout has dead paths inside .venv/bin, an upgraded system a dead interpreter.
    if ! quietly .venv/bin/python -m pip --version || ! grep -qF "$checkout/.venv/bin/" .venv/bin/pip; then
        rm -rf .venv
        "$python" -m venv .venv || fail "could not make a virtual environment with $python"
    fi
    rm -f "$ready"-*
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras" ||
        fail "pip could not install the packages; see above"
    printf '%s\n' "$stamp" >"$ready-$profile"
fi
