"""With how many examples properties are tried: all that a test names, or the share of them that the profile takes."""

from hypothesis import settings

FULL, SHARE = "full", "ci"
OF = 100  # examples that a profile names are so many hundredths
LEAST = 10

# The first example of a property may have to wait for the compiler.
settings.register_profile(FULL, max_examples=OF, deadline=None)
settings.register_profile(SHARE, max_examples=25, deadline=None)


def examples(number: int) -> settings:
    """Settings of a property that a full run tries with so many examples."""
    return settings(max_examples=max(LEAST, number * settings.default.max_examples // OF))
