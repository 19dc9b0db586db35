"""The backup scripts against real servers."""
