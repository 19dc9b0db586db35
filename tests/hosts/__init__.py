"""Several hosts: each a network namespace with processes of its own, on one bridge.

Two webs, two workers with a beat each, Redis, a MariaDB primary and its semi-synchronous replica
(or three Galera nodes). A host is killed, frozen or cut off under load; what people do then is
``book``, whose statements docs/hosts.md prints. ``tests.faults`` has the load and the comparison.

    make test-hosts                                   # the whole matrix, and Galera
    python -m tests.hosts --only db1 --seed 7         # what broke, again

The whole runs in namespaces of its own (network, mounts, processes): nothing is left behind, and
no address outside them and loopback is touched. Needs root on Linux.
"""
