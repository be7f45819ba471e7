"""Write the blocking classes out of the asyncio ones.

What the two have in common, which is everything but the waiting, is written once, in the asyncio sources. This rewrites
words; it knows no syntax, so the sources keep to words that can be rewritten. Run it with `--check` to fail if a file is
stale.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "boxlite"

MODULES = ["_box", "_execution", "_images", "_runtime", "_simple", "_streams"]

#: Modules whose blocking counterpart is written by hand.
BY_HAND = ["_base", "_pull_stream"]

CLASSES = [
    "Box",
    "Boxlite",
    "ByteReader",
    "CodeBox",
    "Events",
    "ExecStderr",
    "ExecStdin",
    "ExecStdout",
    "Execution",
    "ImageHandle",
    "Logs",
    "PullStream",
    "SimpleBox",
]

WORDS = {
    r"async def ": "def ",
    r"async for ": "for ",
    r"async with ": "with ",
    r"\bawait ": "",
    r"\bAsyncIterator\b": "Iterator",
    r"\bStopAsyncIteration\b": "StopIteration",
    r"\b__aiter__\b": "__iter__",
    r"\b__anext__\b": "__next__",
    r"\b__aenter__\b": "__enter__",
    r"\b__aexit__\b": "__exit__",
    r"\basynchronous iterations\b": "iterations",
    r"\bfrom \._asyncio import\b": "from .._blocking import",
    r"\bfrom \. import\b": "from .. import",
}


def rewrite(module: str, source: str) -> str:
    for word, instead in WORDS.items():
        source = re.sub(word, instead, source)
    twins = "|".join(name.lstrip("_") for name in MODULES + BY_HAND)
    source = re.sub(rf"\bfrom \._(?!(?:{twins})\b)", "from .._", source)
    names = "|".join(CLASSES)
    source = re.sub(rf"(?<![.\w`])({names})\b(?!`)", r"Sync\1", source)
    # The order of imports, which ruff would ask for: the package before its parts.
    lines = source.split("\n")
    return f"# Generated from `{module}.py` by tools/blocking.py; change it there.\n" + sort_imports(lines)


def sort_imports(lines: list[str]) -> str:
    imports = [line for line in lines if re.match(r"from \.", line)]
    first = next(index for index, line in enumerate(lines) if line in imports)
    rest = [line for line in lines if line not in imports]
    order = sorted(imports, key=lambda line: (not line.startswith("from .."), line.split()[1]))
    return "\n".join(rest[:first] + order + rest[first:])


def main() -> int:
    stale = []
    for module in MODULES:
        written = rewrite(module, (PACKAGE / f"{module}.py").read_text())
        target = PACKAGE / "sync" / f"{module}.py"
        if "--check" in sys.argv[1:]:
            if not target.exists() or target.read_text() != written:
                stale.append(target.name)
        else:
            target.write_text(written)
    if stale:
        print(f"stale: {', '.join(stale)}; run sdks/python/tools/blocking.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
