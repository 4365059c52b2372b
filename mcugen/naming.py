"""The library's C name from a file's stem or from the user."""

from __future__ import annotations

import re

from mcugen.errors import Fault, UsageError

KEYWORDS = frozenset(
    [
        "alignas",
        "alignof",
        "and",
        "and_eq",
        "asm",
        "auto",
        "bitand",
        "bitor",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "char8_t",
        "char16_t",
        "char32_t",
        "class",
        "co_await",
        "co_return",
        "co_yield",
        "compl",
        "concept",
        "const",
        "const_cast",
        "consteval",
        "constexpr",
        "constinit",
        "continue",
        "decltype",
        "default",
        "delete",
        "do",
        "double",
        "dynamic_cast",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "main",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "not_eq",
        "nullptr",
        "operator",
        "or",
        "or_eq",
        "private",
        "protected",
        "public",
        "register",
        "reinterpret_cast",
        "requires",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "static_assert",
        "static_cast",
        "struct",
        "switch",
        "template",
        "this",
        "thread_local",
        "throw",
        "true",
        "try",
        "typedef",
        "typeid",
        "typename",
        "typeof",
        "typeof_unqual",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "wchar_t",
        "while",
        "xor",
        "xor_eq",
        "net",
        "mcugen",
    ]
)


def c_name(wanted: str) -> str:
    """A C identifier: lower case, other characters `_`, `n` before a digit; keywords are refused."""
    name = re.sub(r"[^a-z0-9_]", "_", wanted.lower())
    if name[:1].isdigit():
        name = f"n{name}"
    # a leading underscore is reserved at file scope, a double one everywhere in C++
    name = re.sub(r"_+", "_", name).lstrip("_")
    if not name or name in KEYWORDS or len(name) > 60:
        why = "is empty, too long, or a word that C or C++ keeps for itself"
        raise UsageError(
            f"the library cannot be called {wanted!r}",
            [Fault("name", f"{name!r} {why}", "choose one with -n NAME")],
        )
    return name
