"""Random stories over the services, step by step against a small model of what must come out.

``book`` is a gateway in memory with moods, ``model`` says what everybody is told and what is there
afterwards, ``machine`` does both and compares, ``test_stories`` runs it.

    STATEFUL_EXAMPLES=400 STATEFUL_STEPS=60 pytest tests/stateful
"""
