"""Numbers in the names of folders and files, where a pattern says how they are written."""

import re
from pathlib import Path

from cosmogan_jax.maps.parameters import check_name, is_value

# Taken whole or not at all (atomic): of Om0.300 never 0.30 and a literal 0. A point belongs to a number only
# where digits follow, so that w-1.fits is -1 and an ending.
_NUMBER = r"(?>[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)"
_FIELD = re.compile(r"\{([^{}]*)\}")
_PARAMETERS = "parameters_from_name"


def compile_pattern(pattern: str, flag: str = _PARAMETERS) -> re.Pattern[str]:
    """Compile a pattern: {name} stands for a number to be kept, {} for one that is not, all else for itself.

    flag: that gave it, for messages.

    Raises:
      ValueError: braces without a partner, a name that is none or comes twice, no name, or two numbers with
        nothing between them.
    """
    where = f"{flag}={pattern}"
    pieces = _FIELD.split(pattern)
    literals, names = [str(piece) for piece in pieces[::2]], [str(piece) for piece in pieces[1::2]]
    if any(brace in literal for literal in literals for brace in "{}"):
        raise ValueError(f"{where}: a brace without its partner; write {{omega_m}} for a number, {{}} for any")
    kept = [check_name(name, where) for name in names if name]
    if not kept:
        raise ValueError(f"{where} names no parameter, as in Om{{omega_m}}_si{{sigma8}}")
    for name in kept:
        if kept.count(name) > 1:
            raise ValueError(f"{where}: {{{name}}} comes twice")
    if "" in literals[1:-1]:
        raise ValueError(f"{where}: two numbers with nothing between them cannot be told apart")
    # A number with which the pattern begins is not the tail of a longer one.
    text = r"(?<![\d.])" if not literals[0] else ""
    text += re.escape(literals[0])
    for name, literal in zip(names, literals[1:]):
        text += (f"(?P<{name}>{_NUMBER})" if name else _NUMBER) + re.escape(literal)
    return re.compile(text)


def numbers_in_name(pattern: str, path: Path, flag: str = _PARAMETERS) -> dict[str, float]:
    """Find the numbers of the pattern in the path as it was given, folders included.

    flag: that gave the pattern, for messages.

    Raises:
      ValueError: names the path and the pattern: it does not fit, fits in two places that say different
        numbers, or what it finds is not finite.
    """
    where = f"{flag}={pattern}"
    matches = [
        {name: float(number) for name, number in match.groupdict().items()}
        for match in compile_pattern(pattern, flag).finditer(Path(path).as_posix())
    ]
    if not matches:
        raise ValueError(f"{where} does not fit {path}")
    if other := next((numbers for numbers in matches[1:] if numbers != matches[0]), None):
        first, two = (", ".join(f"{k}={v:g}" for k, v in numbers.items()) for numbers in (matches[0], other))
        raise ValueError(f"{where} fits {path} in two places: {first} and {two}")
    for name, value in matches[0].items():
        if not is_value(value):
            raise ValueError(f"{where}: {path} says {name}={value:g}, which is not a finite number")
    return matches[0]
