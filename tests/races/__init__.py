"""Races: several real processes against one scratch database, judged by the serial orders.

``scenarios`` is the table of what races, ``crashes`` of who dies where; ``worlds`` builds what it
races about, ``actions`` are the moves, ``gateway`` the stand-in gateway that all processes share,
``verdict`` what is looked at afterwards. ``worker`` is a process that acts, ``harness`` starts them
and compares, ``figures`` adds up.

Every second run holds one mover before one of its steps (a statement, a commit, a call of the
gateway) while all others run as far as its locks let them; in the other runs seeded delays decide.

    RACE_RUNS=200 pytest tests/races              # many interleavings of each scenario
    RACE_SEED=7 pytest tests/races -k expiry      # the same holds and delays again
"""
