"""What runs, apart from the package itself, whose import brings the wiring along."""

__version__ = "1.0.0"  # as the newest entry of CHANGELOG.md
