"""Gateways that say no: what that may change, for every call, answer, state and channel (E11).

The product's own gateway clients speak to the stand-in in this process, byte for byte as over
HTTP; the stand-in keeps its own books. One test plays one state with one order per answer.
"""
