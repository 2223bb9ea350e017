"""Flags that take positive numbers between commas."""

from cosmogan_jax.flags import defining as flags


class Numbers(flags.ArgumentParser):
    """Positive numbers between commas; whole ones where `whole`, at most so many where `most`."""

    def __init__(self, *, whole: bool = False, most: int | None = None, like: str = "1,2"):
        super().__init__()
        self._kind: type = int if whole else float
        self._most = most
        self._expected = f"expected positive {'whole ' if whole else ''}numbers, as {like}"
        self.syntactic_help = self._expected.removeprefix("expected ")

    def parse(self, argument):
        """A tuple of the numbers."""
        if isinstance(argument, (tuple, list)):
            return tuple(argument)
        try:
            numbers = tuple(self._kind(part) for part in argument.split(",")) if argument else ()
        except ValueError:
            raise ValueError(self._expected) from None
        positive = all(0 < number < float("inf") for number in numbers)
        if not positive or (self._most is not None and len(numbers) > self._most):
            raise ValueError(self._expected)
        return numbers

    def flag_type(self):
        """As absl names it."""
        return "positive numbers"


class Joined(flags.ArgumentSerializer):
    """Back to what `Numbers` reads."""

    def serialize(self, value):
        """Numbers between commas."""
        return ",".join(str(number) if isinstance(number, int) else f"{number:g}" for number in value)
