"""Faults: the product as real processes under load, something breaks, and nothing is lost.

``stage`` starts everything (MariaDB or three Galera nodes, Redis, the stand-in gateways, gunicorn,
a Celery worker, beat) with a ``proxy`` on each line between them. ``load`` is a process of its own
that uses the API as clients do and writes down every acknowledgement; ``books`` compares that list
with the database and with the gateways' books. ``hooks`` are the failpoints, which exist only in
processes started here. What breaks is the table in ``scenarios``; ``kills`` repeats the kills.

    make test-faults                                  # everything, with galera
    python -m tests.faults --list
    python -m tests.faults --only redis --seed 7      # what broke, again
    python -m tests.faults --kills --times 20         # kill -9, twenty times in a row each
"""
