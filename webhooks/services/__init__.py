"""The only code that writes what the platform is told.

``dispatch`` gives committed events their sequences.
"""
