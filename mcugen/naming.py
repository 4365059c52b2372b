"""The library's C name from a file's stem or from the user."""

from __future__ import annotations

import re

from mcugen.errors import Fault, UsageError
from mcugen.kernels import KERNELS

MOST = 60  # characters
_KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long main mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires
    restrict return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using
    virtual void volatile wchar_t while xor xor_eq"""
# NAME.h would stand in the way of a system header of that name, as src/ is in the include path ...
_HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
    stdatomic stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar
    wctype alloca dirent fcntl malloc memory poll pthread sched semaphore strings termios unistd features endian"""
# ... and NAME_t of a type of C or POSIX.
_TYPES = """int8 int16 int32 int64 uint8 uint16 uint32 uint64 int_least8 int_least16 int_least32 int_least64
    uint_least8 uint_least16 uint_least32 uint_least64 int_fast8 int_fast16 int_fast32 int_fast64
    uint_fast8 uint_fast16 uint_fast32 uint_fast64 intmax uintmax intptr uintptr ptrdiff size rsize ssize
    max_align clock div ldiv lldiv imaxdiv fpos fexcept mbstate wint wctrans sig_atomic mtx cnd thrd tss
    blkcnt blksize dev fsblkcnt fsfilcnt gid id ino key mode nlink off pid sigset socklen stack suseconds timer uid
    useconds"""
_TARGETS = (
    "all clean depend edit_cache help install package package_source preinstall rebuild_cache test uninstall"
)
_RESERVED = (
    (_KEYWORDS, "is a word that C, C++ or a linker keeps for itself"),
    (_HEADERS, "is the name of a system header"),
    (_TYPES, "names a system type when _t is added"),
    (_TARGETS, "is a target that CMake keeps for itself"),
)
RESERVED = {word: why for words, why in reversed(_RESERVED) for word in words.split()}


def c_name(wanted: str) -> str:
    """A C identifier: lower case, other characters `_`, `n` before a digit. Raises UsageError for a name that would
    clash with C, C++, their headers and types, CMake's targets, or with what every library holds."""
    # A leading underscore is reserved at file scope, a double one everywhere in C++.
    name = re.sub(r"[^a-z0-9]+", "_", wanted.lower()).lstrip("_")
    if name[:1].isdigit():
        name = f"n{name}"
    why = RESERVED.get(name)
    if not name:
        why = "is empty once only letters and digits are left"
    elif len(name) > MOST:
        why = f"is longer than {MOST} characters"
    elif any(f"{name}_".startswith(f"{inside}_") for inside in ("mcugen", *KERNELS)):
        why = "is a name of the code inside of every library"
    if why:
        raise UsageError(
            f"the library cannot be called {wanted!r}",
            [Fault("name", f"{name!r} {why}", "choose one with -n NAME")],
        )
    return name
